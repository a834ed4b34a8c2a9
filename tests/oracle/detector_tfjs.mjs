// What TensorFlow.js itself makes of a picture with the detector's own graph; `make_eye_reference.py` runs it.
// Arguments: the folder of nanodet.json and nanodet.bin, the picture, the output; float32 in the machine's order.
import * as tf from '@tensorflow/tfjs-core';
import {loadGraphModel} from '@tensorflow/tfjs-converter';
import '@tensorflow/tfjs-backend-cpu';
import {readFileSync, writeFileSync} from 'node:fs';

const buffer = (path) => {
  const bytes = readFileSync(path);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
};

const [folder, picture, output] = process.argv.slice(2);
const {modelTopology, weightsManifest, signature, format} = JSON.parse(readFileSync(`${folder}/nanodet.json`));
const weightData = buffer(`${folder}/nanodet.bin`);
const artifacts = {modelTopology, weightSpecs: weightsManifest[0].weights, weightData, signature, format};

await tf.setBackend('cpu');
const model = await loadGraphModel({load: async () => artifacts});
const input = tf.tensor(new Float32Array(buffer(picture)), [1, 3, 416, 416]);
const made = model.execute(input, Object.keys(signature.outputs).sort());
const parts = await Promise.all(made.map(async (tensor) => Buffer.from((await tensor.data()).buffer)));
writeFileSync(output, Buffer.concat(parts));
