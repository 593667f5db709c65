// Muster's script. Every page works without it; it keeps pages up to date and never takes anything from the person's
// hands: no focus, no scroll, no typed text, no selection.

import "./live.js";
import "./forms.js";
import "./keys.js";
import "./list.js";
import "./gate.js";
import "./log.js";
import "./icon.js";
