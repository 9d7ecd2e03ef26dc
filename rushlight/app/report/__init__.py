"""The report of a run: one HTML file that opens anywhere, without a network.

    run folder ──► record ──┐
    model, data ──► facts ──┴──► sections ──► page ──► report.html

`kinds.py` has the way from a run folder to its report; `SECTIONS` in `image_sections.py` and `text_sections.py` lists
what stands in it, in its order. A section is a function from the facts to a `Section`, which names a template, or to
None where there is nothing to tell; templates escape every value. To add one, write the function and its template, and
its line in the list.
"""
