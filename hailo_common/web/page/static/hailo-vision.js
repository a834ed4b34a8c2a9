// The page of hailo-vision.

import { begin } from "./app.js";
import { Conversation } from "./conversation.js";

begin((main, status) => new Conversation(main, status));
