"""What on an HTML page is boilerplate: navigation, banners, search, link marks, hidden parts.

Knows the habits of documentation generators (Sphinx, DocBook, AsciiDoc, MkDocs, Docusaurus, SQLite); knows
no parser.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DROPPED = _words(
    "head script style noscript template svg canvas iframe object embed audio video map nav button select input "
    "textarea label dialog menu applet frameset"
)
INLINE = _words(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd mark q rp rt ruby s samp small span "
    "strike strong sub sup time tt u var wbr math mi mo mn mrow msup msub mfrac semantics"
)
_ROLES = _words("navigation banner search contentinfo complementary dialog alertdialog menu menubar toolbar")
_CONTENT_ASIDE = _words(
    "admonition footnote footnote-list footnotes note tip warning important caution danger info callout topic "
    "system-message hint example alert citation theorem"
)
_CLASSES = _words(
    # Sphinx, docutils
    "sphinxsidebar sphinxsidebarwrapper related headerlink viewcode-link viewcode-back genindex-jumpbox "
    "genindextable modindextable modindex-jumpbox linenos linenodiv lineno gutter rouge-gutter wy-nav-side "
    "rst-versions mobile-nav nav-content bottom-links contents-local sidebar-drawer toc-drawer "
    "back-to-top edit-this-page "
    # DocBook
    "navheader navfooter toc indexdiv id_link list-of-tables list-of-figures "
    # Docusaurus, MkDocs, Hugo, GitHub
    "hash-link table-of-contents pagination-nav pagination theme-doc-breadcrumbs theme-doc-footer md-sidebar "
    "md-header md-footer md-source md-tabs anchorjs-link heading-anchor anchor-link permalink td-toc td-sidebar "
    "feedback "
    # SQLite
    "nosearch mainmenu submenu searchmenu fancy_toc "
    # anywhere
    "nav navbar navigation breadcrumb breadcrumbs site-header site-footer page-header-nav skip-link skiplink "
    "skip-nav sr-only visually-hidden screen-reader-text noprint no-print prev-next prevnext page-nav page-footer "
    "footer "
    "copyright social-share share-buttons newsletter advertisement ads banner-ad"
)
_SOFT = frozenset(["sidebar", "menu", "banner", "header-nav", "side-nav", "sidenav", "topbar"])
_IDS = _words("footer toc navigation nav navbar sidebar breadcrumbs cookie-banner site-header site-footer")
_COOKIE = re.compile(
    r"cookie[-_]?(?:banner|consent|notice|bar|law|policy-banner)|consent[-_]?banner|gdpr|onetrust", re.I
)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)


def is_boilerplate(tag: str, attributes: Mapping[str, str | None], *, in_main: bool) -> bool:
    """Whether an element and all in it is none of the page's content.

    `in_main` says that it stands in the element the page declares as its main part, where an `aside` or a
    `header` is usually content.
    """
    if not attributes:
        return tag == "aside" or (tag in ("header", "footer") and not in_main)
    classes = frozenset((attributes.get("class") or "").split())
    role = attributes.get("role") or ""
    if role in _ROLES and not (in_main and role == "complementary"):
        return True
    if not _CLASSES.isdisjoint(classes) or (not in_main and not _SOFT.isdisjoint(classes)):
        return True
    if tag == "aside":
        return classes.isdisjoint(_CONTENT_ASIDE) and role not in ("note", "doc-footnote")
    if tag in ("header", "footer"):
        return not in_main
    identity = attributes.get("id") or ""
    if identity in _IDS and tag in ("div", "ul", "section", "table") and not in_main:
        return True
    if "contents" in classes and ("topic" in classes or "local" in classes):
        return True
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return role != "tabpanel" and tag != "math"
    if _HIDDEN.search(attributes.get("style") or ""):
        return role != "tabpanel"
    return bool(_COOKIE.search(identity) or any(_COOKIE.search(name) for name in classes))
