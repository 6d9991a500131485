/** The name of a family. It belongs to the family, whoever gave it. */

import { part, send } from "./api.js";
import { announce } from "./dom.js";
import { textForm } from "./text_form.js";

/**
 * Return a form that names a family.
 *
 * @param {object} family
 * @param {(name: string) => void} show shows the new name
 */
export function nameForm(family, show) {
  const rename = async (name) => {
    const said = await send("PUT", `families/${part(family.id)}/name`, { name });
    show(said.name);
    return said;
  };
  const what = { id: "family-name", value: family.name, hint: "Name of this family", words: "Name of this family" };
  return textForm({ ...what, action: "Name" }, async (name) => {
    const { before } = await rename(name);
    announce(name ? `${family.id} is called “${name}” now` : `${family.id} has no name now`);
    if (before === name) return null;
    return async () => {
      await rename(before);
      announce(before ? `${family.id} is called “${before}” again` : "Name taken back");
      return before;
    };
  });
}
