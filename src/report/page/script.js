"use strict";
// The page is whole without this: it adds the choice of light or dark, and the filter of the settings.
(() => {
  const root = document.documentElement;
  const key = "wan22-policy-theme";
  // A file that is opened from a disk may have no storage.
  const remembered = () => { try { return localStorage.getItem(key); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem(key, theme); } catch { /* it is chosen again the next time */ } };
  const isDark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const theme = remembered();
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => { button.textContent = isDark() ? "Light" : "Dark"; button.setAttribute("aria-label", isDark() ? "Switch to light" : "Switch to dark"); };
    button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; remember(root.dataset.theme); label(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
    label();
    button.hidden = false;

    const filter = document.getElementById("filter");
    const due = document.getElementById("due");
    const says = document.getElementById("filtered");
    const rows = [...document.querySelectorAll("table.settings tbody tr")].map((row) => [row, row.textContent.toLowerCase()]);
    const show = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const [row, text] of rows) {
        row.hidden = (due.checked && !("due" in row.dataset)) || !words.every((word) => text.includes(word));
        if (!row.hidden) shown += 1;
      }
      says.textContent = `${shown} of ${rows.length}`;
    };
    filter.addEventListener("input", show);
    due.addEventListener("change", show);
    show();
    filter.closest("p").hidden = false;

    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Escape" && event.target === filter) { filter.value = ""; show(); }
      if (event.key === "/" && !event.target.closest("input, textarea, select")) { event.preventDefault(); filter.focus(); filter.select(); }
    });
    addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
  });
})();
