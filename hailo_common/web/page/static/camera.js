// The camera: a still picture, or a view that is asked about again and again.

import { button, el, sheet } from "./dom.js";
import { choose, drawn, take } from "./pictures.js";
import { t } from "./words.js";

/** Whether this browser lets a page see a camera: only over HTTPS, and on the machine itself. */
export const canSee = Boolean(navigator.mediaDevices?.getUserMedia);

/** A camera that runs. */
export class Camera {
  /** @param {MediaStream} stream */
  constructor(stream) {
    this.stream = stream;
    this.view = el("video", { autoplay: true, playsinline: true, muted: true, class: "camera-view", "aria-label": t("camera.view") });
    this.view.muted = true;
    this.view.srcObject = stream;
  }

  /** @returns {Promise<Camera>} the one at the back, where there is one; throws what to tell people */
  static async open() {
    try {
      return new Camera(await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } }));
    } catch (error) {
      const denied = error instanceof DOMException && error.name === "NotAllowedError";
      throw new Error(t(denied ? "camera.denied" : "camera.none"));
    }
  }

  /** @returns {Promise<import("./pictures.js").Picture>} what it sees now */
  async picture() {
    if (!this.view.videoWidth) await new Promise((done) => this.view.addEventListener("loadeddata", done, { once: true }));
    const { blob } = await drawn(this.view, this.view.videoWidth, this.view.videoHeight);
    return take(blob, t("camera.name"));
  }

  close() {
    for (const track of this.stream.getTracks()) track.stop();
    this.view.srcObject = null;
  }
}

/**
 * Take a picture: with a view of the camera where the browser allows it, with the phone's own elsewhere.
 * @param {(picture: import("./pictures.js").Picture) => void} onPicture
 * @param {(files: File[]) => void} onFiles
 * @param {(error: unknown) => void} onRefused
 */
export async function photograph(onPicture, onFiles, onRefused) {
  if (!canSee) {
    choose(onFiles, { camera: true });
    return;
  }
  try {
    const camera = await Camera.open();
    const { dialog, body } = sheet(t("camera"), t("close"), "middle");
    dialog.addEventListener("close", () => camera.close());
    const shoot = button("camera", t("camera.take"), () => {
      camera.picture().then((picture) => {
        dialog.close();
        onPicture(picture);
      }, onRefused);
    }, { text: true, class: "button main-button" });
    body.append(camera.view, shoot);
    shoot.focus();
  } catch (error) {
    onRefused(error);
  }
}
