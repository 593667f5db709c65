// Passkeys: what only a script can do. Without it the buttons stay hidden, and every other way in works.

const $ = (id) => document.getElementById(id);
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const listed = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { accept: "application/json", "content-type": "application/json" },
    body: JSON.stringify(body ?? {}),
  });
  const said = await answer.json().catch(() => null);
  if (!answer.ok) throw new Error(said?.error?.message ?? "Muster did not answer. Try again.");
  return said;
}

// The fields that are checked, as the standard writes them in JSON.
function told(credential, response) {
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: {},
    response,
  };
}

async function create() {
  const options = await post("/me/passkeys/challenge");
  options.challenge = bytes(options.challenge);
  options.user.id = bytes(options.user.id);
  options.excludeCredentials = listed(options.excludeCredentials);
  const made = await navigator.credentials.create({ publicKey: options });
  return told(made, {
    clientDataJSON: text(made.response.clientDataJSON),
    attestationObject: text(made.response.attestationObject),
    transports: made.response.getTransports?.() ?? [],
  });
}

async function get() {
  const options = await post("/login/passkey/challenge");
  options.challenge = bytes(options.challenge);
  options.allowCredentials = listed(options.allowCredentials);
  const used = await navigator.credentials.get({ publicKey: options });
  return told(used, {
    clientDataJSON: text(used.response.clientDataJSON),
    authenticatorData: text(used.response.authenticatorData),
    signature: text(used.response.signature),
    userHandle: used.response.userHandle ? text(used.response.userHandle) : undefined,
  });
}

function when(form, act) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const fault = form.querySelector("[role=alert]");
    fault.hidden = true;
    try {
      await act(new FormData(form));
    } catch (error) {
      // The person closed the window of their authenticator, or it has no passkey for here.
      const words = error.name === "NotAllowedError" ? "No passkey was used." : error.name === "InvalidStateError" ? "This device has a passkey for you here already." : error.message;
      fault.textContent = words;
      fault.hidden = false;
    } finally {
      delete form.dataset.sent;
    }
  });
  form.hidden = false;
}

if (window.PublicKeyCredential) {
  const enter = $("passkey-sign-in");
  if (enter) when(enter, async (fields) => {
    const { next } = await post("/login/passkey", { credential: await get(), next: fields.get("next") });
    location.assign(next);
  });
  const add = $("passkey-add");
  if (add) when(add, async (fields) => {
    await post("/me/passkeys", { credential: await create(), name: fields.get("name") });
    location.assign("/me?done=passkey#passkeys");
  });
}
