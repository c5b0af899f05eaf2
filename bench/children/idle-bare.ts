/** A process that does nothing: what Node.js itself costs. */
import { processMemory } from "./process-memory.ts";
import { serve } from "./serve.ts";

serve({ memory: () => processMemory(), stop: () => {} });
