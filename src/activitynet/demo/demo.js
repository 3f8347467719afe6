// What a form alone cannot: dropping, pasting, the camera, and answers without leaving the page.

const form = document.getElementById("ask");
const input = document.getElementById("photos");
const drop = document.getElementById("drop");
const status = document.getElementById("status");
const panel = document.getElementById("camera");
const view = document.getElementById("view");
const opener = document.getElementById("open-camera");

function show(answer) {
  document.getElementById("answer").replaceWith(answer);
}

function complain(sentence) {
  const answer = document.createElement("div");
  const line = document.createElement("p");
  answer.id = "answer";
  answer.tabIndex = -1;
  line.className = "trouble";
  line.setAttribute("role", "alert");
  line.textContent = sentence;
  answer.append(line);
  show(answer);
}

function tooMuch(files) {
  if (files.length > Number(form.dataset.photos)) return form.dataset.tooMany;
  const size = files.reduce((sum, file) => sum + file.size, 0);
  return size > Number(form.dataset.bytes) ? form.dataset.tooLarge : null;
}

async function ask() {
  if (form.hasAttribute("aria-busy")) return;
  const over = tooMuch([...input.files]);
  if (over) return complain(over);
  form.setAttribute("aria-busy", "true"); // not disabled, which would lose the keyboard's place
  status.textContent = input.files.length > 1 ? `Looking at ${input.files.length} photos …` : "Looking …";
  try {
    const response = await fetch(form.action, { method: "POST", body: new FormData(form) });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const answer = page.getElementById("answer");
    if (!answer) return complain(page.body.textContent.trim());
    show(answer);
    answer.focus();
  } catch {
    complain("The page's server does not answer. See its terminal, or start it again.");
  } finally {
    form.removeAttribute("aria-busy");
    status.textContent = "";
  }
}

function take(files) {
  const photos = new DataTransfer();
  for (const file of files) photos.items.add(file);
  if (!photos.files.length) return;
  input.files = photos.files;
  form.requestSubmit();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});

for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault(); // a photo dropped beside the field would be opened in the page's place
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files);
  });
}
addEventListener("paste", (event) => take(event.clipboardData.files));
document.getElementById("ways").hidden = false;

function closeCamera() {
  for (const track of view.srcObject?.getTracks() ?? []) track.stop();
  view.srcObject = null;
  panel.hidden = true;
  opener.hidden = false;
  opener.focus();
}

async function openCamera() {
  try {
    view.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    return complain(`The camera cannot be used: ${error.message || error.name}. Allow it, or choose a photo.`);
  }
  opener.hidden = true;
  panel.hidden = false;
  await view.play();
  document.getElementById("take").focus();
}

function takePhoto() {
  const canvas = document.createElement("canvas");
  canvas.width = view.videoWidth;
  canvas.height = view.videoHeight;
  canvas.getContext("2d").drawImage(view, 0, 0);
  canvas.toBlob((blob) => take([new File([blob], "camera.jpg", { type: "image/jpeg" })]), "image/jpeg", 0.95);
}

if (navigator.mediaDevices?.getUserMedia) { // browsers have it at this machine's own address and over HTTPS
  opener.hidden = false;
  opener.addEventListener("click", openCamera);
  document.getElementById("take").addEventListener("click", takePhoto);
  document.getElementById("close-camera").addEventListener("click", closeCamera);
}
