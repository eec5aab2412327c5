"""The pages of one run: timeline, cost, result, logs, raw.

Each page has two doors that meet in one function: `timeline` (staff) finds its run by id and calls
`timeline_page(request, run, audience)`; the holder of a share link comes in by
`dashboard.views.shared`, which calls the same function with its own audience. The same holds for
`cost_page`, `result_page`, `logs_page`, `text_download`, `log_download`, and in
`dashboard.views.steps` for `step_page` and `payload_download`. What an audience has no page for
(`Audience.may_see`) has no tab and no link.

Fragments. A live stream renders them alone with the same contexts; `oob=True` in the context
puts `hx-swap-oob="true"` on each root element.

====================================  =====================================  ======================
template                              context from                           root element
====================================  =====================================  ======================
runs/_head.html                       run_page.head(run, audience, now)      section#run-head
runs/_fresh.html                      run_page.fresh(run, audience, now)     p#run-fresh
runs/_tabs.html                       run_page.tabs(run, audience, tab)      nav#run-tabs
runs/_strip.html                      timeline.strip(run, audience, now)     figure#run-strip
runs/_filters.html                    timeline.page(run, audience, now,...)  nav#step-filters
runs/_timeline.html                   timeline.page(run, audience, now,...)  section#timeline
runs/_timeline.html#step_item         timeline.item(item, run, audience,     li#s<position>
                                      now); items: timeline.changed_items
runs/_cost.html#totals                cost_page.totals(run, audience, now)   section#cost-totals
runs/_cost.html#entries               cost_page.entries(run, audience, ...)  section#cost-entries
runs/_result.html#result              run_page.result(run, audience, now)    section#run-result
runs/_logs.html#logs                  run_page.logs(run, audience, now)      section#run-logs
====================================  =====================================  ======================

`timeline.changed_items(run, since=version, now=now)` gives the steps that came or changed after
that version, as items for `step_item`; those with `item.position > last` are new (append them to
`ol#steps`, whose `data-last` and `data-complete` say what the browser holds), the others replace
their `li#s<position>`.

Marks for scripts: `data-since="<ISO time>"` on a span counts on from there; `data-copy` on a
button copies the text of the element whose id it names.
"""
