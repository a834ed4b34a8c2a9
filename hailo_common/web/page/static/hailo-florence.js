// The page of hailo-florence.

import { begin } from "./app.js";
import { Tasks } from "./tasks.js";

begin((main, status) => new Tasks(main, status));
