// The search runs in a worker, and browsers start none for pages opened from a folder (file:).
// There, run its script in a hidden frame of this page instead, with copies of the same messages.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(url) {
      this.onmessage = this.onerror = this.onmessageerror = null;
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.documentElement.append(this.frame);
      this.inner = this.frame.contentWindow;
      this.inner.postMessage = (data) => {
        const copy = structuredClone(data);
        setTimeout(() => this.onmessage?.({ data: copy }));
      };
      const script = this.frame.contentDocument.createElement("script");
      script.src = url;
      script.onerror = (event) => this.onerror?.(event);
      script.onload = () => {
        const waiting = this.waiting;
        this.waiting = null;
        waiting.forEach((data) => this.inner.onmessage({ data }));
      };
      this.frame.contentDocument.documentElement.append(script);
    }
    postMessage(original) {
      const data = structuredClone(original);
      if (this.waiting) this.waiting.push(data);
      else this.inner.onmessage({ data });
    }
    terminate() {
      this.frame.remove();
    }
  };
}
