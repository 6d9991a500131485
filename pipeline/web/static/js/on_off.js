/** ON and OFF: whether the signal of a hit is also there where the telescope pointed elsewhere. */

import { scanOf } from "./address.js";
import { get, part, send } from "./api.js";
import { h } from "./dom.js";

/** The answer of the server to this is waited for. */
const WAITED_FOR = "ON/OFF is being asked";
/** The server could not answer. */
const UNKNOWN = "ON/OFF unknown";

const STATES = {
  "in OFF": "seen at another pointing, too: probably interference",
  "ON only": "not seen at other pointings",
  undecided: "the scans at other pointings do not tell",
  "no OFF": "no scan at another pointing to compare with",
};

const NOT_JUDGED = {
  [WAITED_FOR]: "the hits are there already, and the scans at other pointings are looked at",
  [UNKNOWN]: "the server did not answer; load the page again",
};

const classOf = (state) => (state === WAITED_FOR ? "asked" : state === UNKNOWN ? "unknown" : state.replace(" ", "-"));

/** Return the session of each scan, by its id. */
export const sessionsOf = async () =>
  new Map(
    (await get("sessions").catch(() => ({ sessions: [] }))).sessions.flatMap((session) =>
      session.scans.map((scan) => [scan.scan_id, session]),
    ),
  );

/** Return whether ON/OFF of a request is asked for once its hits are there: it takes longer than the search. */
const isLater = (request) =>
  Boolean(request.on_off) && !request.on_only && !request.on_off_power && !request.power && !request.power_shape;

/** Search; ON/OFF of the hits may still be missing (see {@link lacksOnOff}). */
export const searchFor = (request) =>
  send("POST", "searches", isLater(request) ? { ...request, on_off: undefined } : request);

/** Search again with examples; ON/OFF of the hits may still be missing, as after {@link searchFor}. */
export const refineWith = (result, request, like, unlike) =>
  send("POST", `searches/${part(result.id)}/feedback`, { like, unlike, ...(isLater(request) && { on_off: false }) });

/** Tell whether a request wants ON/OFF, and its result does not have it. The hits then say that it is being asked. */
export function lacksOnOff(result, request) {
  if (!isLater(request) || result.request.on_off) return false;
  for (const hit of result.hits) hit.on_off = WAITED_FOR;
  return true;
}

/** Return the result with ON/OFF. It does not fail: if the server does, the hits say that ON/OFF is unknown. */
export async function judged(result, complain) {
  try {
    return await send("POST", `searches/${part(result.id)}/on-off`);
  } catch (error) {
    complain(error);
    return { ...result, hits: result.hits.map((hit) => ({ ...hit, on_off: UNKNOWN })) };
  }
}

/** Return what the states of ON/OFF mean that some hits have; null if none has one. */
export function onOffLegend(hits) {
  const states = Object.keys(STATES).filter((name) => hits.some((hit) => hit.on_off === name));
  if (!states.length) return null;
  return h(
    "details",
    { class: "on-off-legend" },
    h("summary", {}, "What ON and OFF mean"),
    h(
      "p",
      { class: "quiet" },
      "ON is where the telescope pointed in the scan of the hit, whatever the name of its target says. OFF is each " +
        "other pointing of the session.",
    ),
    h(
      "dl",
      { class: "terms" },
      states.map((name) => [
        h("dt", {}, h("span", { class: `on-off ${classOf(name)}` }, name)),
        h("dd", {}, STATES[name]),
      ]),
      h("dt", {}, h("span", { class: "scans" }, scanField("on here"), scanField("off"))),
      h(
        "dd",
        {},
        "the scans of the session in their order, up to five before and after the hit's: high fields point where " +
          "the hit's scan does, low ones elsewhere; filled ones hold the signal",
      ),
    ),
  );
}

/** Scans of a session that a strip shows on each side of the hit's: a session of a whole night has dozens. */
const BESIDE = 5;

const scanField = (kind, pointing) => h("span", { title: pointing, class: `scan ${kind}` });

/**
 * Return a strip with one field for each scan of the session near the hit's: where the signal is, and where it is not.
 *
 * @param {object} hit
 * @param {Map<string, {scans: object[]}>} sessions id of a scan → its session
 */
export function onOffStrip(hit, sessions) {
  if (!hit.on_off) return null;
  const words = `${hit.on_off}: ${STATES[hit.on_off] || NOT_JUDGED[hit.on_off] || ""}`;
  const scan = scanOf(hit.source);
  const seen = new Set(hit.in_off.map((one) => scanOf(one.slice(0, one.lastIndexOf("/")))));
  const own = sessions.get(scan);
  const at = own?.scans.findIndex((one) => one.scan_id === scan) ?? -1;
  const pointing = own?.scans[at]?.pointing;
  const near = at < 0 ? [] : own.scans.slice(Math.max(0, at - BESIDE), at + BESIDE + 1);
  const fields = near.map((one) =>
    scanField(
      [
        one.pointing === pointing ? "on" : "off",
        one.scan_id === scan ? "here" : seen.has(one.scan_id) ? "seen" : "not-seen",
      ].join(" "),
      one.pointing,
    ),
  );
  return h(
    "span",
    { class: `on-off ${classOf(hit.on_off)}`, title: words },
    fields.length > 1 ? h("span", { class: "scans", "aria-hidden": "true" }, fields) : null,
    hit.on_off,
  );
}
