// Copies the address of a link with data-copy: to the page, or to what it leads to. Without
// this script such a link still leads there.
"use strict";

// Not every page may use navigator.clipboard: it needs HTTPS or localhost.
function copy(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  return isCopied;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-copy]");
  if (!link || !copy(link.href)) return;
  event.preventDefault();
  const label = link.textContent;
  link.textContent = "Copied";
  setTimeout(() => { link.textContent = label; }, 1500);
});
