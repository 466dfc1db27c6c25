// Follows the theme chosen in Airflow, which stores it under this key; by default, the system's theme.
"use strict";

function applyTheme() {
  let theme = null;
  try {
    theme = localStorage.getItem("theme");
  } catch {
    // Storage is not accessible: use the system's theme.
  }
  document.documentElement.dataset.theme = theme === "dark" || theme === "light" ? theme : "system";
}

applyTheme();
addEventListener("storage", applyTheme);
