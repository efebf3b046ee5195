-- description: The fields of the names of live items, in folios whose names have a pattern (Folio.set_naming). value is
--   the text that stands in the name.
-- grain: one row per (folio, item, field)
-- source: items, current_metadata
with patterns as (
    select
        subject_id as folio,
        try_cast(value as json) ->> '$.regex' as regex,
        cast(try_cast(value as json) -> '$.fields' as varchar[]) as fields
    from current_metadata
    where subject_kind = 'folio' and key = 'lakefolio.naming'
),

matched as (
    select
        items.folio,
        items.item,
        items.version,
        items.entry_id,
        patterns.fields,
        try(
            case when regexp_full_match(items.item, patterns.regex) then
                string_split(
                    regexp_replace(
                        items.item,
                        '^(?:' || patterns.regex || ')' || repeat('()', 9 - len(patterns.fields)) || '$',
                        concat_ws(chr(31), '\1', '\2', '\3', '\4', '\5', '\6', '\7', '\8', '\9')
                    ),
                    chr(31)
                )
            end
        ) as texts
    from items
    inner join patterns on items.folio = patterns.folio
)

select
    folio,
    item,
    version,
    entry_id,
    unnest(fields) as field,
    unnest(texts[1:len(fields)]) as value
from matched
where texts is not null
