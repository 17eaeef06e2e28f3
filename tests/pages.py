"""What every page must keep to: well formed, no link that leads nowhere, nothing from outside."""

import base64
import html.parser
import re

VOID = {"meta", "img", "br", "hr", "link", "input"}
LOADS = {"src", "srcset", "data", "poster", "action", "background"}


class Page(html.parser.HTMLParser):
    """Reads a page and keeps what is wrong with it."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.wrong, self.ids, self.links = [], [], [], []
        self.pictures = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        for key, value in attrs:
            if key == "id":
                self.ids.append(value)
            if key == "href" and tag == "a":
                self.links.append(value)
            elif key in LOADS or key == "href":
                self.pictures.append(value)
            if key.startswith("on"):
                self.wrong.append(f"{tag} {key}")
        if tag == "img" and not dict(attrs).get("alt"):
            self.wrong.append("a picture without words")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing")


def check_page(path):
    """Returns the text of a page once nothing is wrong with it."""
    text = path.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    page.close()
    assert page.wrong == [] and page.open == []
    assert len(page.ids) == len(set(page.ids))
    inside = {link[1:] for link in page.links if link.startswith("#")}
    assert inside <= set(page.ids), inside - set(page.ids)
    for link in page.links:
        assert link.startswith(("#", "https://")), link
    for picture in page.pictures:
        kind, content = re.fullmatch(r"data:image/(png|webp);base64,(.+)", picture).groups()
        start = base64.b64decode(content, validate=True)[:12]
        assert start[:4] == b"\x89PNG" if kind == "png" else start[8:] == b"WEBP"
    style = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))
    assert "url(" not in style and "@import" not in style
    return text
