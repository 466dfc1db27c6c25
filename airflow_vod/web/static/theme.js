// Follows the theme that was chosen in Airflow, which keeps it under this name; without a choice, the system's.
"use strict";

function applyTheme() {
  let theme = null;
  try {
    theme = localStorage.getItem("theme");
  } catch {
    // Storage is closed to us: the system's theme will do.
  }
  document.documentElement.dataset.theme = theme === "dark" || theme === "light" ? theme : "system";
}

applyTheme();
addEventListener("storage", applyTheme);
