import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { fixtureHub } from "./fixtures/server.ts";

const staticFolder = fileURLToPath(new URL("../hub/src/hearth_hub/static", import.meta.url));

// `npm run dev` asks a hub on this machine; `npm run dev -- --mode fixtures` answers from fixtures/*.json.
export default defineConfig(({ mode }) => ({
  // relative addresses, so that the page also works below a prefix (a reverse proxy, Home Assistant's ingress)
  base: "./",
  plugins: mode === "fixtures" ? [fixtureHub()] : [],
  build: { outDir: staticFolder, emptyOutDir: true, target: "es2022", sourcemap: false },
  server: { proxy: mode === "fixtures" ? {} : { "/api": process.env["HEARTH_HUB"] ?? "http://127.0.0.1:8000" } },
}));
