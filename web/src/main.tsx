import "uplot/dist/uPlot.min.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/charts.css";
import { render } from "preact";
import { App } from "./app.tsx";
import { start } from "./state/refresh.ts";
import { followTheme } from "./state/theme.ts";

followTheme();
start();
const root = document.getElementById("app");
if (root !== null) render(<App />, root);
