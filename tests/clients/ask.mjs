// Asks hailo-vision through the clients of Node.js: node ask.mjs URL PICTURE
import { readFileSync } from "node:fs";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import { Ollama } from "ollama";
import OpenAI from "openai";

const [host, file] = process.argv.slice(2);
const picture = readFileSync(file);
const model = "qwen2-vl-2b-instruct";
const question = "What color is the circle?";
const url = `data:image/png;base64,${picture.toString("base64")}`;
const messages = [
  { role: "user", content: [{ type: "image_url", image_url: { url } }, { type: "text", text: question }] },
];

const openai = new OpenAI({ baseURL: `${host}/v1`, apiKey: "any" });
const whole = await openai.chat.completions.create({ model, messages, temperature: 0 });
let streamed = "";
for await (const part of await openai.chat.completions.create({ model, messages, temperature: 0, stream: true }))
  streamed += part.choices[0]?.delta?.content ?? "";

const provider = createOpenAICompatible({ name: "hailo", baseURL: `${host}/v1`, apiKey: "any" });
const content = [{ type: "image", image: picture }, { type: "text", text: question }];
const asked = { model: provider(model), messages: [{ role: "user", content }], temperature: 0 };
const generated = await generateText(asked);
let flowed = "";
for await (const part of streamText(asked).textStream) flowed += part;

const ollama = new Ollama({ host });
const images = [picture.toString("base64")];
const chatted = await ollama.chat({ model, messages: [{ role: "user", content: question, images }] });
const models = await ollama.list();

console.log(
  JSON.stringify({
    openai: whole.choices[0].message.content,
    openaiStream: streamed,
    ai: generated.text,
    aiStream: flowed,
    ollama: chatted.message.content,
    ollamaModels: models.models[0].model,
  }),
);
