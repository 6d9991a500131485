/**
 * Where things are in a picture: frequency ascends to the right, and time runs upwards. So it is in the pictures that
 * the command line draws (`--plot`) and in those of blimpy, and a picture saved here is read as it was drawn.
 */

/** Return the dot of a frequency. */
export const across = (box, view, fMhz) => box.x + ((fMhz - view.start) / (view.stop - view.start)) * box.width;

/** Return the dot of a time, in seconds from the begin of the scan. */
export const up = (box, times, s) => box.y + (1 - (s - times.start) / (times.stop - times.start)) * box.height;

/** Return the rectangle of a record with `f_start_mhz`, `f_stop_mhz`, `t_start_s` and `t_stop_s`. */
export function rectangle(box, view, times, record) {
  const [x, y] = [across(box, view, record.f_start_mhz), up(box, times, record.t_stop_s)];
  return { x, y, width: across(box, view, record.f_stop_mhz) - x, height: up(box, times, record.t_start_s) - y };
}

/** Draw something, and keep it within a picture. */
export function clipped(context, box, draw) {
  context.save();
  context.beginPath();
  context.rect(box.x, box.y, box.width, box.height);
  context.clip();
  draw();
  context.restore();
}
