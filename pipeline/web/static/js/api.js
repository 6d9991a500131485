/** Requests to the server. All are to the same origin, below `/api/v1`. */

import { worded } from "./labels_of_fields.js";

const ROOT = "/api/v1/";

/** Event: the server does not answer, or does not know this browser any more. */
export const AWAY = "serveraway";

/** Event: it answers again. */
export const BACK = "serverback";

/** What the server refused, and what to do about it. */
export class ApiError extends Error {
  constructor(status, code, message, hint) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
  }
}

/** Return the address of something below the API, with its parameters. Undefined, null and empty ones are left out. */
export function addressOf(path, parameters = {}) {
  const given = Object.entries(parameters).filter(
    ([, value]) => value !== undefined && value !== null && value !== "",
  );
  const query = new URLSearchParams(given).toString();
  return ROOT + path + (query ? `?${query}` : "");
}

/** Return the name of something as one part of a path. */
export const part = (name) => encodeURIComponent(name);

async function failure(response) {
  let error = {};
  try {
    error = (await response.json()).error || {};
  } catch {
    /* not every refusal is JSON */
  }
  return new ApiError(
    response.status,
    error.code || String(response.status),
    worded(error.message || "", error.parameters) ||
      `The server answered with ${response.status} ${response.statusText}`.trim(),
    error.hint || "",
  );
}

async function ask(path, parameters, options) {
  let response;
  try {
    response = await fetch(addressOf(path, parameters), { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    dispatchEvent(new Event(AWAY));
    throw new ApiError(
      0,
      "UNREACHABLE",
      "The server does not answer.",
      "Is “lookalike serve” still running? This page goes on when it is back; what you marked stays.",
    );
  }
  if (response.status === 401) dispatchEvent(new Event(AWAY));
  if (!response.ok) throw await failure(response);
  return response;
}

/** GET an object. */
export const get = async (path, parameters, options) => (await ask(path, parameters, options)).json();

/** GET bytes; returns the response, because its headers say what the bytes are. */
export const getBytes = (path, parameters, options) => ask(path, parameters, options);

/** Send an object with a method that writes, and return the object that comes back, if one does. */
export async function send(method, path, body, parameters) {
  const response = await ask(path, parameters, {
    method,
    headers: { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** POST the bytes of a file that the user chose. */
export async function upload(path, file, parameters) {
  const response = await ask(path, parameters, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream" },
    body: file,
  });
  return response.json();
}
