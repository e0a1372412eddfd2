// The first moments: before the hub has answered, and before any home has reported.

import { homes, hubIsAway } from "../state/store.ts";

export function Welcome() {
  const noHome = homes.value !== null && homes.value.length === 0;
  return (
    <section class="card welcome" aria-live="polite">
      <h2>{noHome ? "No home has reported yet" : hubIsAway.value ? "Waiting for the hub" : "Opening your home"}</h2>
      <p class="muted">
        {noHome
          ? "The hub is running. As soon as an agent announces itself, its home appears here by itself."
          : "This page fills by itself as soon as the hub answers."}
      </p>
    </section>
  );
}
