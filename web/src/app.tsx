import { useEffect } from "preact/hooks";
import { Banners } from "./components/banners.tsx";
import { Devices } from "./components/devices.tsx";
import { DayCharts } from "./charts/day-charts.tsx";
import { Events } from "./components/events.tsx";
import { FlowCard } from "./components/flow.tsx";
import { Header } from "./components/header.tsx";
import { Money } from "./components/money.tsx";
import { Outlook } from "./components/outlook.tsx";
import { PlanList } from "./components/plan-list.tsx";
import { Tiles } from "./components/tiles.tsx";
import { home, homeId, homes, isFresh } from "./state/store.ts";
import { Welcome } from "./components/welcome.tsx";

export function App() {
  useEffect(() => {
    document.title = home.value === null ? "Hearth" : `${home.value.name} · Hearth`;
  }, [home.value?.name]);
  const waiting = homes.value === null || homeId.value === null;
  return (
    <>
      <a class="skip" href="#main">
        Skip to the values
      </a>
      <Header />
      <main id="main" tabIndex={-1} class={isFresh.value ? "" : "is-stale"}>
        <Banners />
        {waiting ? (
          <Welcome />
        ) : (
          <div class="layout">
            <FlowCard />
            <div class="beside">
              <Outlook />
              <Tiles />
            </div>
            <div class="aside">
              <PlanList />
              <Events />
            </div>
            <div class="wide">
              <DayCharts />
              <Money />
            </div>
            <Devices />
          </div>
        )}
      </main>
    </>
  );
}
