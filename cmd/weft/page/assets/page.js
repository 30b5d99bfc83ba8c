// Follows the agent: fetches the page that is shown and takes over its content,
// as long as somebody looks and is not in the middle of something.
"use strict";
(() => {
  const every = 5000;
  const button = document.getElementById("follow");
  if (!document.body.hasAttribute("data-follow") || !button) return;
  let on = true;

  const label = (text) => { button.textContent = text; };
  const busy = () => {
    const focused = document.activeElement;
    return document.hidden || String(document.getSelection()) !== "" || (focused && focused.tagName === "INPUT");
  };
  const key = (details) => details.id || details.querySelector("summary")?.textContent;

  const take = (text) => {
    const next = new DOMParser().parseFromString(text, "text/html").getElementById("main");
    const main = document.getElementById("main");
    if (!next) return;
    const open = new Set([...main.querySelectorAll("details[open]")].map(key));
    const scrolled = [...main.querySelectorAll(".scroll, .code, .log")].map((e) => [e.scrollLeft, e.scrollTop]);
    for (const details of next.querySelectorAll("details")) details.open = open.has(key(details));
    const focus = document.activeElement && document.activeElement.getAttribute("href");
    main.replaceChildren(...next.childNodes);
    [...main.querySelectorAll(".scroll, .code, .log")].forEach((e, i) => {
      if (scrolled[i]) [e.scrollLeft, e.scrollTop] = scrolled[i];
    });
    if (focus) [...main.querySelectorAll("a")].find((a) => a.getAttribute("href") === focus)?.focus({ preventScroll: true });
  };

  const look = async () => {
    if (!on || busy()) return;
    try {
      const answer = await fetch(location.pathname + location.search, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      take(await answer.text());
      label("Following");
    } catch {
      label("No answer");
    }
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    on = !on;
    button.setAttribute("aria-pressed", String(on));
    label(on ? "Following" : "Stopped");
    look();
  });
  setInterval(look, every);
})();
