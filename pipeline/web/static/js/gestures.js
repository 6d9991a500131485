/**
 * The mouse on a waterfall. The wheel zooms at the cursor, with Shift in time. Dragging selects, dragging with Shift
 * moves.
 */

import { moved, selectionOf } from "./view.js";

const LEAST_DRAG = 4;
const FLAT = 10;
/** A press that moves less than this is a click. */
const LEAST_MOVE = 2;
const PER_PIXEL = 0.0016;
const TOO_NARROW =
  `That drag is less than ${LEAST_DRAG} pixels wide, and selects nothing. Zoom in with the wheel and drag again, or ` +
  "type the range.";

/**
 * Let the mouse act on a panel.
 *
 * @param {import("./waterfall_panel.js").WaterfallPanel} panel
 * @param {object} board what all panels share
 * @param {object} act `go`, which moves the view, and what else happens: `select`, `readOut`, `say`
 */
export function bindGestures(panel, board, act) {
  const { ink } = panel;
  const { go } = act;
  let drag = null;
  const at = (event) => ({ ...panel.read(event), panel });
  ink.addEventListener(
    "wheel",
    (event) => {
      const place = panel.read(event);
      if (!place.inside) return;
      event.preventDefault();
      const pixels = event.deltaMode === 1 ? 16 : 1;
      const factor = (delta) => Math.exp(delta * pixels * PER_PIXEL);
      // with Shift, some browsers call a turn of the wheel one across
      if (event.shiftKey) go.zoomTimes(factor(event.deltaY || event.deltaX), place.later);
      else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) go.move((event.deltaX * pixels) / panel.box.width);
      else go.zoom(factor(event.deltaY), place.share);
    },
    { passive: false },
  );

  ink.addEventListener("pointerdown", (event) => {
    const place = at(event);
    if (event.button > 1 || !place.inside) return;
    ink.setPointerCapture(event.pointerId);
    drag = {
      start: place,
      x: event.clientX,
      y: event.clientY,
      view: board.view,
      times: board.times,
      isPan: event.shiftKey || event.button === 1,
    };
    if (event.button === 1) event.preventDefault();
  });

  ink.addEventListener("pointermove", (event) => {
    const place = at(event);
    if (drag?.isPan) {
      go.look(moved(go.band, drag.view, (drag.x - event.clientX) / panel.box.width));
      if (drag.times) go.lookAt(moved(go.allTimes, drag.times, (event.clientY - drag.y) / panel.box.height));
    } else if (drag && hasMoved(drag, event)) {
      board.selection = selectionBetween(drag, place, event);
      drag.isSelecting = true;
      for (const one of board.panels) one.paintInk();
    }
    act.readOut(place);
  });

  const finish = (event) => {
    if (drag?.isSelecting) {
      act.select(selectionBetween(drag, at(event), event));
      panel.offerSearch();
    } else if (drag && !drag.isPan && pathOf(drag, event) >= LEAST_MOVE) act.say(TOO_NARROW);
    drag = null;
  };
  ink.addEventListener("pointerup", finish);
  ink.addEventListener("pointercancel", () => {
    drag = null;
  });
  ink.addEventListener("pointerleave", () => drag || act.readOut({ inside: false }));
  ink.addEventListener("dblclick", (event) => {
    const place = panel.read(event);
    if (place.inside) go.zoom(0.25, place.share);
  });

  const pathOf = (from, event) => Math.hypot(event.clientX - from.x, event.clientY - from.y);
  const hasMoved = (from, event) => Math.abs(event.clientX - from.x) >= LEAST_DRAG || from.isSelecting;
  const selectionBetween = (from, place, event) =>
    selectionOf(
      panel.source,
      board.view,
      panel.times,
      {
        left: Math.min(from.start.share, place.share),
        right: Math.max(from.start.share, place.share),
        from: Math.min(from.start.tS, place.tS),
        to: Math.max(from.start.tS, place.tS),
      },
      Math.abs(event.clientY - from.y) < FLAT,
    );
}
