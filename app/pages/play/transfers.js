// Sending resources to others, and what was sent and received.

import { call, command, username } from "../shared/api.js";
import { clockHint } from "../shared/clocks.js";
import { h, moment, number, say, setAttr, setText, short, token } from "../shared/dom.js";
import { fieldErrors } from "../shared/problems.js";
import { explain } from "./words.js";

const OVERFLOW = {
  hold: "What a receiver has no room for waits for them.",
  reject: "A receiver without room for all of it gets nothing, and you have it back.",
  spill: "What a receiver has no room for is lost.",
};
const SHOWN = 50;
const STATES = { sent: "on its way", returned: "came back", lost: "lost" };

export function transfers(context) {
  const clock = clockHint();
  const list = h("ul", { class: "transfers" });
  const empty = h("p", { class: "idle" }, "Nothing has been sent or received yet.");
  const rest = h("p", { class: "hint", hidden: true }, `These are the latest ${SHOWN}.`);
  const alert = h("p", { class: "refusal", role: "alert" });
  const { node: form, tick } = sendForm(context, update);
  const node = h(
    "div",
    { class: "two" },
    form,
    h("section", { class: "panel", "aria-labelledby": "sent" }, h("h2", { id: "sent" }, "Sent and received"), clock.node, empty, list, rest, alert),
  );

  async function update() {
    clock.update(context.model.now());
    try {
      const { transfers: rows } = await call("GET", `/v1/transfers?limit=${SHOWN + 1}`);
      list.replaceChildren(...rows.slice(0, SHOWN).map((row) => line(context.model, row)));
      rest.hidden = rows.length <= SHOWN;
      empty.hidden = rows.length > 0;
      setText(alert, "");
    } catch (error) {
      setText(alert, explain(error, context.model));
    }
  }

  return { node, update, tick };
}

function line(model, transfer) {
  const out = transfer.from === username();
  const other = (out ? transfer.to : transfer.from) || "a former account";
  const goods = Object.entries(transfer.resources).map(([name, n]) =>
    h("li", { class: "price", title: model.title(name) }, token(model.resourceNames.indexOf(name)), h("span", {}, short(n)), h("span", { class: "goods-name" }, model.title(name))),
  );
  const state = STATES[transfer.state];
  return h(
    "li",
    { "data-out": out },
    h("div", { class: "order-line" }, h("strong", {}, `${out ? "To" : "From"} ${other}`), h("time", { datetime: transfer.sent_at }, moment(transfer.sent_at))),
    h("ul", { class: "prices" }, goods),
    transfer.note ? h("p", { class: "about" }, transfer.note) : null,
    state ? h("p", { class: "when" }, state) : null,
  );
}

function sendForm({ model, refresh }, sent) {
  const { per_day_max: limit, overflow } = model.ruleset.transfers;
  const to = h("input", { id: "to", autocomplete: "off", spellcheck: "false", autocapitalize: "none", maxlength: 64, "aria-describedby": "to-error" });
  const toError = h("span", { id: "to-error", class: "refusal", "aria-live": "polite" });
  const note = h("input", { id: "note", maxlength: 200, autocomplete: "off" });
  const alert = h("p", { class: "refusal", role: "alert" });
  const submit = h("button", { type: "submit", class: "primary" }, "Send");
  const goods = model.resourceNames.map((name, index) => {
    const stock = h("span", { class: "hint", id: `have-${name}` });
    const input = h("input", { id: `send-${name}`, type: "number", min: 0, step: 1, inputmode: "numeric", placeholder: "0", "aria-describedby": `have-${name}` });
    const label = h("label", { for: `send-${name}` }, token(index), model.title(name));
    return { name, input, stock, node: h("div", { class: "field" }, h("div", { class: "field-head" }, label, stock), input) };
  });
  const rules = [OVERFLOW[overflow], limit ? `At most ${number(limit)} of each resource a day.` : ""];
  const node = h(
    "form",
    { class: "panel", method: "post", novalidate: true, onsubmit: send },
    h("h2", {}, "Send resources"),
    h("div", { class: "field" }, h("label", { for: "to" }, "To"), to, toError),
    h("div", { class: "amounts" }, goods.map((each) => each.node)),
    h("div", { class: "field" }, h("div", { class: "field-head" }, h("label", { for: "note" }, "Note"), h("span", { class: "hint" }, "optional")), note),
    h("p", { class: "hint" }, rules.filter(Boolean).join(" ")),
    alert,
    submit,
  );

  function refuseName(text) {
    setText(toError, text);
    setAttr(to, "aria-invalid", text ? "true" : null);
    if (text) to.focus();
  }

  async function send(event) {
    event.preventDefault();
    if (submit.getAttribute("aria-busy") === "true") return;
    const resources = Object.fromEntries(goods.map(({ name, input }) => [name, Math.floor(Number(input.value))]).filter(([, n]) => n > 0));
    refuseName(to.value.trim() ? "" : "Whom shall it go to?");
    setText(alert, "");
    if (!to.value.trim()) return;
    if (Object.keys(resources).length === 0) {
      setText(alert, "Choose how much of what to send.");
      goods[0].input.focus();
      return;
    }
    await give({ to: to.value.trim(), resources, note: note.value });
  }

  async function give(body) {
    setAttr(submit, "aria-busy", "true");
    try {
      const done = await command("/v1/transfers", body);
      say(done.earlier ? `It was sent to ${done.to} before, and not again now.` : `Sent to ${done.to}.`);
      [...goods.map((each) => each.input), note].forEach((input) => (input.value = ""));
      await Promise.all([refresh(), sent()]);
    } catch (error) {
      const named = fieldErrors(error).to ?? (error.slug === "unknown-account" ? explain(error, model) : "");
      refuseName(named);
      setText(alert, named ? "" : explain(error, model));
    } finally {
      setAttr(submit, "aria-busy", null);
    }
  }

  const tick = () => goods.forEach(({ name, stock }) => setText(stock, `of ${short(model.amount(name))}`));
  tick();
  return { node, tick };
}
