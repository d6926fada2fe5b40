// Search in a site that is opened from the disk: browsers start no worker from file:, so a hidden frame runs its script.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.url = url;
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.started = new Promise((resolve) => {
        const start = () => {
          this.frame.srcdoc =
            "<script>addEventListener('message', (e) => e.source === self && e.stopImmediatePropagation());" +
            "self.postMessage = (data) => parent.dispatchEvent(new MessageEvent('from-frame', { data }));" +
            "var load = (url) => new Promise((done) => { const s = document.createElement('script');" +
            "s.src = url; s.async = false; s.onload = done; document.head.append(s); });" +
            "self.importScripts = (...urls) => Promise.all(urls.map(load));</" + "script>" +
            `<script src="${new URL(url, document.baseURI)}"></` + "script>";
          this.frame.onload = resolve;
          document.body.append(this.frame);
        };
        if (document.body) start();
        else addEventListener("DOMContentLoaded", start);
      });
      addEventListener("from-frame", (e) => {
        const event = new MessageEvent("message", { data: e.data });
        this.dispatchEvent(event);
        if (this.onmessage) this.onmessage(event);
      });
    }
    postMessage(data) {
      this.started.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })));
    }
    terminate() {
      this.frame.remove();
    }
  };
}
