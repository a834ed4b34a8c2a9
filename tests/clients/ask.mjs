// Asks hailo-vision through the clients of Node.js: node ask.mjs URL PICTURE
import { readFileSync } from "node:fs";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ChatOpenAI } from "@langchain/openai";
import { generateObject, generateText, streamText } from "ai";
import { Ollama } from "ollama";
import OpenAI from "openai";
import { z } from "zod";

const [host, file] = process.argv.slice(2);
const picture = readFileSync(file);
const model = "qwen2-vl-2b-instruct";
const question = "What color is the circle?";
const url = `data:image/png;base64,${picture.toString("base64")}`;
const messages = [
  { role: "user", content: [{ type: "image_url", image_url: { url } }, { type: "text", text: question }] },
];
const form = z.object({ color: z.enum(["red", "green", "blue"]), shape: z.enum(["circle", "square"]) });
const settings = { baseURL: `${host}/v1`, apiKey: "any" };

const openai = new OpenAI(settings);
const whole = await openai.chat.completions.create({ model, messages, temperature: 0 });
let streamed = "";
for await (const part of await openai.chat.completions.create({ model, messages, temperature: 0, stream: true }))
  streamed += part.choices[0]?.delta?.content ?? "";
const input = [
  { role: "user", content: [{ type: "input_image", image_url: url }, { type: "input_text", text: question }] },
];
const responded = await openai.responses.create({ model, input, temperature: 0 });

// Two of Vercel's providers: the first asks /v1/responses.
const content = [{ type: "image", image: picture }, { type: "text", text: question }];
const vercels = {};
for (const [name, provider] of Object.entries({
  ai: createOpenAI(settings),
  aiCompatible: createOpenAICompatible({ name: "hailo", ...settings, supportsStructuredOutputs: true }),
})) {
  const asked = { model: provider(model), messages: [{ role: "user", content }], temperature: 0 };
  vercels[name] = (await generateText(asked)).text;
  vercels[`${name}Stream`] = "";
  for await (const part of streamText(asked).textStream) vercels[`${name}Stream`] += part;
  vercels[`${name}Object`] = (await generateObject({ ...asked, schema: form })).object;
}

const chat = new ChatOpenAI({ model, apiKey: "any", temperature: 0, configuration: { baseURL: `${host}/v1` } });
const invoked = await chat.invoke(messages);
const typed = {};
for (const method of ["jsonSchema", "functionCalling"])
  typed[method] = await chat.withStructuredOutput(form, { method }).invoke(messages);

const ollama = new Ollama({ host });
const images = [picture.toString("base64")];
const chatted = await ollama.chat({ model, messages: [{ role: "user", content: question, images }] });
const models = await ollama.list();

console.log(
  JSON.stringify({
    openai: whole.choices[0].message.content,
    openaiStream: streamed,
    openaiResponses: responded.output_text,
    ...vercels,
    langchain: invoked.content,
    ...typed,
    ollama: chatted.message.content,
    ollamaModels: models.models[0].model,
  }),
);
