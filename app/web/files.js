// Files: chosen or dropped, translated one after the other, fetched by the reader.

import { ServiceError, translateFile } from "./api.js";
import { formatNumber, messages } from "./messages.js";

export class Files {
  /** `pair` gives the languages of the moment, `remark` puts a flag in words, `askKey` asks the reader for a key. */
  constructor(section, { pair, remark, askKey }) {
    this.section = section;
    this.input = section.querySelector("input");
    this.list = section.querySelector("ul");
    this.pair = pair;
    this.remark = remark;
    this.askKey = askKey;
    this.waiting = Promise.resolve();
    this.suffixes = [];
  }

  /** Offer them, if the service translates files. */
  load({ filesTranslation, supportedFilesFormat = [] }) {
    this.section.hidden = !filesTranslation;
    if (!filesTranslation) return;
    this.suffixes = supportedFilesFormat;
    this.input.accept = supportedFilesFormat.join(",");
    this.section.querySelector(".formats").textContent = supportedFilesFormat.map((suffix) => suffix.slice(1)).join(" · ");
    this.input.addEventListener("change", () => {
      this.add(this.input.files);
      this.input.value = ""; // so that the same file can be chosen again
    });
    // anywhere on the page: a browser would otherwise show a file that misses the area
    for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => this.dragged(event));
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) this.section.classList.remove("over");
    });
  }

  dragged(event) {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    this.section.classList.toggle("over", event.type === "dragover");
    if (event.type === "drop") this.add(event.dataTransfer.files);
  }

  add(files) {
    for (const file of files) {
      const row = new Row(file.name, this.pair());
      this.list.append(row.item);
      this.waiting = this.waiting.then(() => this.translate(file, row));
    }
  }

  async translate(file, row) {
    if (row.isGivenUp) return;
    row.show(messages.translating);
    try {
      const { translatedFileUrl, report } = await translateFile(file, row.source, row.target, row.controller.signal);
      // relative, as all addresses: a proxy may serve the page below any path
      row.showLink(`download_file/${translatedFileUrl.split("/").pop()}`, this.summary(report));
    } catch (error) {
      if (error.kind === "key") this.askKey();
      if (!row.isGivenUp) row.fail(error instanceof ServiceError ? error : new ServiceError("fault"));
    }
  }

  summary(report) {
    if (!report) return "";
    const done = messages.fileDone(formatNumber(report.translated), formatNumber(report.texts));
    return [done, ...Object.keys(report.flags).map(this.remark)].join(" ");
  }
}

class Row {
  constructor(name, { source, target }) {
    this.source = source;
    this.target = target;
    this.controller = new AbortController();
    this.name = name;
    this.item = document.createElement("li");
    this.title = Object.assign(document.createElement("span"), { className: "name", textContent: name });
    this.state = Object.assign(document.createElement("span"), { className: "state", textContent: messages.fileWaits });
    this.state.setAttribute("role", "status");
    this.button = Object.assign(document.createElement("button"), { type: "button", className: "plain" });
    this.button.textContent = messages.giveUp;
    this.button.setAttribute("aria-label", messages.giveUpLabel(name));
    this.button.addEventListener("click", () => this.remove());
    this.item.append(this.title, this.state, this.button);
  }

  get isGivenUp() {
    return this.controller.signal.aborted;
  }

  show(text) {
    this.state.textContent = text;
  }

  showLink(address, summary) {
    const link = Object.assign(document.createElement("a"), { href: address, textContent: messages.fetch(this.name) });
    link.download = "";
    this.title.replaceChildren(link);
    this.show(summary);
    this.end();
  }

  fail({ kind, message, requestId }) {
    const text = {
      busy: messages.filesBusy,
      quota: messages.quota,
      late: messages.fileLate,
      large: messages.fileTooLarge,
      key: messages.keyNeeded,
      wrong: message,
      fault: messages.fault(requestId),
      unreachable: messages.unreachable,
    }[kind];
    this.show(text);
    this.state.classList.add("over");
    this.end();
  }

  end() {
    this.button.textContent = messages.remove;
    this.button.setAttribute("aria-label", messages.removeLabel(this.name));
  }

  remove() {
    this.controller.abort();
    this.item.remove();
  }
}
