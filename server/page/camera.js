// Pictures of a camera.

let opened = null;

export const isOpen = () => Boolean(opened);

// Shows the camera in a <video>, or closes it; raises an error that says why it cannot be used.
export async function toggle(video) {
  if (opened) {
    opened.getTracks().forEach((track) => track.stop());
    opened = null;
  } else {
    opened = await open();
  }
  video.srcObject = opened;
}

async function open() {
  if (!navigator.mediaDevices) {
    throw new Error("Browsers give a page the camera only over https or at localhost. Choose a picture instead: " +
      "a phone then offers its camera.");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ video: true });
  } catch (error) {
    throw new Error(`The camera cannot be used: ${error.message}`);
  }
}

// What the camera shows now, as a file.
export async function shoot(video) {
  const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return blob && new File([blob], "camera.png", { type: "image/png" });
}
