// Light or dark: the system's wish until a person chooses otherwise; the choice stays in this browser.

import { computed, effect, signal } from "@preact/signals";

export type Choice = "auto" | "light" | "dark";
const KEY = "hearth-theme";

function stored(): Choice {
  try {
    const value = window.localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "auto";
  } catch {
    return "auto"; // storage may be forbidden; then the system decides
  }
}

function store(choice: Choice): void {
  try {
    window.localStorage.setItem(KEY, choice);
  } catch {
    // the choice holds for this visit
  }
}

const system = window.matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(system.matches);
export const choice = signal<Choice>(stored());

export const theme = computed<"light" | "dark">(() => {
  if (choice.value !== "auto") return choice.value;
  return systemIsDark.value ? "dark" : "light";
});

export function toggleTheme(): void {
  choice.value = theme.value === "dark" ? "light" : "dark";
  store(choice.value);
}

export function followTheme(): void {
  system.addEventListener("change", (event) => {
    systemIsDark.value = event.matches;
  });
  effect(() => {
    document.documentElement.dataset["theme"] = theme.value;
  });
}
