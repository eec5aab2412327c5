// What every page has besides htmx: relative times that stay true, "/" for search, menus that close.
"use strict";

(() => {
  const units = [["s", 1, 60], ["min", 60, 3600], ["h", 3600, 86400], ["day", 86400, Infinity]];

  // By the server's clock, as live.js has heard it.
  const now = () => Date.now() + Number(document.documentElement.dataset.skew || 0);

  // The same words as the filters `ago` and `duration` in templatetags/runsheet.py.
  function ago(moment) {
    const seconds = Math.round((now() - moment) / 1000);
    const distance = Math.abs(seconds);
    if (distance < 5) return "just now";
    const [unit, size] = units.find(([, , below]) => distance < below);
    const number = Math.floor(distance / size);
    const words = `${number} ${unit === "day" && number !== 1 ? "days" : unit}`;
    return seconds > 0 ? `${words} ago` : `in ${words}`;
  }

  function duration(ms) {
    const whole = Math.max(0, Math.floor(ms / 1000));
    const two = (number) => String(number).padStart(2, "0");
    const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    if (hours >= 24) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
    if (hours) return `${hours}:${two(minutes)}:${two(seconds)}`;
    return whole < 60 ? `${seconds} s` : `${minutes}:${two(seconds)}`;
  }

  function say(element, words) {
    if (element.textContent !== words) element.textContent = words;
  }

  function tick() {
    if (document.hidden) return;
    for (const element of document.querySelectorAll("[data-since]")) {
      say(element, duration(now() - Date.parse(element.dataset.since)));
    }
    for (const element of document.querySelectorAll("time[data-ago]")) {
      say(element, ago(Date.parse(element.dateTime)));
    }
  }
  setInterval(tick, 1000);

  function isTyping(target) {
    return target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName);
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !isTyping(event.target) && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const seek = document.getElementById("seek");
      if (seek) {
        event.preventDefault();
        seek.focus();
        seek.select();
      }
    }
    if (event.key === "Escape") {
      for (const menu of document.querySelectorAll("details.menu[open]")) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
    }
  });

  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  // The list's period and its dates say the same thing: choosing one lets go of the other.
  // In the capture phase, so that htmx reads the form after it.
  document.addEventListener("change", ({target}) => {
    const form = target.closest?.("form.filters");
    if (!form || !["from", "to"].includes(target.name)) return;
    if (target.type === "radio") {
      for (const date of form.querySelectorAll("input[type=date]")) date.value = "";
    } else if (target.name === "from" && target.value) {
      form.querySelector("input[type=radio][name=from][value='']").checked = true;
    }
  }, true);

  // What refreshes itself rests while nobody looks.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.detail.elt.matches?.("[data-refreshes]")) event.preventDefault();
  });

  // Logged out meanwhile: the page itself leads to the login and back.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const {xhr} = event.detail;
    if (new URL(xhr.responseURL || location.href).pathname.startsWith("/accounts/")) {
      event.detail.shouldSwap = false;
      location.reload();
    }
  });
})();
