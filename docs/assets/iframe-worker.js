/* Search from a folder: browsers start no worker for file://, so its script runs in a hidden frame. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.srcdoc = "";
      this.loaded = new Promise((resolve) => {
        frame.onload = () => {
          const inside = frame.contentWindow;
          inside.importScripts = (...urls) => Promise.all(urls.map((each) => this.load(inside, each)));
          inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
          this.load(inside, url).then(() => resolve(inside));
        };
      });
      document.body.append(frame);
    }

    load(inside, url) {
      return new Promise((resolve, reject) => {
        const script = inside.document.createElement("script");
        script.onload = resolve;
        script.onerror = reject;
        script.src = new URL(url, location.href);
        inside.document.head.append(script);
      });
    }

    async postMessage(data) {
      (await this.loaded).dispatchEvent(new MessageEvent("message", { data }));
    }

    terminate() {}
  };
}
