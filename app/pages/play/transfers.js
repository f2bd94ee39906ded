// Sending resources to others, and the transfers sent and received.

import { arrival, call, command, mayHaveArrived, username } from "../shared/api.js";
import { clockHint } from "../shared/clocks.js";
import { h, moment, number, say, setAttr, setText, short, token } from "../shared/dom.js";
import { fieldErrors } from "../shared/problems.js";
import { explain } from "./words.js";

const OVERFLOW = {
  hold: "What the receiver has no room for waits for them.",
  reject: "If the receiver lacks room for all of it, all of it comes back.",
  spill: "What the receiver has no room for is lost.",
};
const SHOWN = 50;
const STATES = { sent: "on its way", returned: "came back", lost: "lost" };

export function transfers(context) {
  const clock = clockHint();
  const list = h("ul", { class: "transfers" });
  const empty = h("p", { class: "idle" }, "Nothing has been sent or received yet.");
  const rest = h("p", { class: "hint", hidden: true }, `These are the latest ${SHOWN}.`);
  const alert = h("p", { class: "refusal", role: "alert" });
  /** Everything that the list has shown, by id; nothing before it was read. */
  let seen = null;
  const { node: form, tick, look } = sendForm(context, { known: () => seen, sent: update });
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
      seen ??= new Map();
      for (const row of rows) seen.set(row.id, row);
      look();
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

/** `known` returns what the list has shown, and `sent` reads it again; call `look` after that. */
function sendForm({ model, refresh }, { known, sent }) {
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
  /** The last transfer whose answer was lost, and what says whether it was seen to arrive. */
  let lost = null;
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
    const body = filled();
    refuseName(body.to ? "" : "Who should receive it?");
    setText(alert, "");
    if (!body.to) return;
    // Input that is not a number has no value, and would be left out.
    const wrong = goods.find(({ input }) => !input.validity.valid);
    if (wrong) {
      setText(alert, `${model.title(wrong.name)}: only whole numbers can be sent.`);
      wrong.input.focus();
      return;
    }
    if (Object.keys(body.resources).length === 0) {
      setText(alert, "Choose what to send, and how much.");
      goods[0].input.focus();
      return;
    }
    await give(body);
  }

  function filled() {
    const resources = Object.fromEntries(goods.map(({ name, input }) => [name, Number(input.value)]).filter(([, n]) => n > 0));
    return { to: to.value.trim(), resources, note: note.value };
  }

  async function give(body) {
    setAttr(submit, "aria-busy", "true");
    lost = null;
    const arrived = known() ? arrival(known(), (each) => isLike(each, body)) : undefined;
    try {
      const done = await command("/v1/transfers", body, arrived);
      known()?.set(done.id, done);
      made(done, body);
      await Promise.all([refresh(), sent()]);
    } catch (error) {
      if (mayHaveArrived(error) && arrived) lost = { arrived, body };
      const named = fieldErrors(error).to ?? (error.slug === "unknown-account" ? explain(error, model) : "");
      refuseName(named);
      setText(alert, named ? "" : explain(error, model));
    } finally {
      setAttr(submit, "aria-busy", null);
    }
  }

  /** It was sent: as the server answered, or as it was seen to arrive. */
  function made(transfer, body) {
    lost = null;
    setText(alert, "");
    say(transfer.earlier ? `Sent to ${transfer.to} earlier, not again now.` : `Sent to ${transfer.to}.`);
    // Unless the form was changed meanwhile.
    if (JSON.stringify(filled()) === JSON.stringify(body)) [...goods.map((each) => each.input), note].forEach((input) => (input.value = ""));
  }

  function look() {
    const found = lost?.arrived();
    if (found) made(found, lost.body);
  }

  const tick = () => goods.forEach(({ name, stock }) => setText(stock, `of ${short(model.amount(name))}`));
  tick();
  return { node, tick, look };
}

/** Whether a transfer is the one that `body` requests; a returned one has not arrived. */
function isLike(transfer, body) {
  // The server returns a name as its owner writes it, and folds more than case to compare it.
  const name = (text) => text.normalize("NFKC").toLowerCase().replaceAll("i\u0307", "i").replaceAll("ß", "ss").replaceAll("ς", "σ");
  const names = new Set([...Object.keys(transfer.resources), ...Object.keys(body.resources)]);
  const same = [...names].every((each) => transfer.resources[each] === body.resources[each]);
  return transfer.from === username() && transfer.state !== "returned" && name(transfer.to) === name(body.to) && transfer.note === body.note && same;
}
