import { describeCrash } from "../store-crash.ts";

describeCrash("lmdb");
