/** Axes: round ticks, and numbers with their units. Plain arithmetic, without a page. */

const STEPS = [1, 2, 5, 10];

/** Return the smallest of 1, 2 and 5 times a power of ten that is at least a number. */
export function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return STEPS.find((step) => step * power >= least * (1 - 1e-9)) * power;
}

/** Return round ticks from a number to another one, at most `count` of them, with the decimals that tell them apart. */
export function ticks(start, stop, count) {
  if (!(stop > start) || count < 1) return { values: [], decimals: 0, step: 0 };
  const step = roundStep((stop - start) / count);
  const values = [];
  for (let i = Math.ceil(start / step - 1e-6); i * step <= stop + step * 1e-6; i += 1) values.push(i * step);
  return { values, decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), step };
}

/** Return a frequency in MHz with as many decimals as channels of a width need. */
export const mhz = (value, channelWidthHz = 1) =>
  value.toFixed(Math.min(9, Math.max(3, 6 - Math.floor(Math.log10(Math.max(channelWidthHz, 1e-3))))));

/** Return the ends of a band in MHz, with decimals that tell them apart. */
export const band = (fStartMhz, fStopMhz) =>
  [fStartMhz, fStopMhz].map((one) => mhz(one, ((fStopMhz - fStartMhz) * 1e6) / 100)).join("–");

/** Return a width in Hz in the unit that suits it. */
export function hertz(value) {
  const size = Math.abs(value);
  if (size >= 1e9) return `${short(value / 1e9)} GHz`;
  if (size >= 1e6) return `${short(value / 1e6)} MHz`;
  return size >= 1e3 ? `${short(value / 1e3)} kHz` : `${short(value)} Hz`;
}

/** Return an expected number of windows by chance. How far it lies below 10⁻⁶, no sample can tell. */
export const shortChance = (value, isExtrapolated) =>
  value < 1e-6 ? "<10⁻⁶" : `${isExtrapolated ? "~" : ""}${short(value)}`;

/** Return a number with about three digits. */
export function short(value) {
  if (!Number.isFinite(value)) return "–";
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e7)) {
    const [digits, power] = value.toExponential(1).split("e");
    return `${digits.replace(/\.0$/, "")}·10${superscript(Number(power))}`;
  }
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const superscript = (power) =>
  (power < 0 ? "⁻" : "") + [...String(Math.abs(power))].map((one) => RAISED[one]).join("");

/** Return a whole number with its noun: "1 hit", "2,000 hits". */
export const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** Return a duration in seconds with the unit that suits it. */
export const seconds = (value) => (value < 1 ? `${short(value * 1000)} ms` : `${short(value)} s`);

/** Return a Modified Julian Date (UTC) with its calendar date. */
export function date(mjd) {
  const text = new Date((mjd - 40587) * 86400000);
  return Number.isNaN(text.getTime()) ? "" : `${text.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** Return the last part of a path. */
export const fileName = (path) => (path || "").split("/").pop();

/**
 * Return ticks of a narrow range of frequencies: offsets from its centre, in the unit that suits them.
 *
 * @returns {{centre: string, unit: string, ticks: {at: number, label: string}[]}} `at` is from 0 to 1
 */
export function offsetTicks(fStartMhz, fStopMhz, count) {
  const half = (fStopMhz - fStartMhz) / 2;
  const [scale, unit] = half * 1e6 < 2000 ? [1e6, "Hz"] : half * 1e3 < 2000 ? [1e3, "kHz"] : [1, "MHz"];
  let { values, decimals } = ticks(-half * scale, half * scale, count);
  // a single tick says nothing about the scale
  if (values.length < 3) ({ values, decimals } = ticks(-half * scale, half * scale, 4));
  const label = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value).toFixed(decimals)}`;
  return {
    centre: mhz(fStartMhz + half, (half * 2e6) / 256),
    unit,
    ticks: values.map((value) => ({
      at: (value / scale + half) / (2 * half),
      label: label(Math.abs(value) < 1e-12 ? 0 : value),
    })),
  };
}
