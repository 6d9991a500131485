// Sets the theme before anything is drawn. This file is no module, because modules wait until the page is read.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  /* without storage, the theme is that of the system */
}
