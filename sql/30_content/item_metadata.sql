-- description: The metadata of the live items. value is JSON text (value ->> '$' is the plain text of a string);
--   value_number holds the value where it is a number.
-- grain: one row per (folio, item, key)
-- source: items, current_metadata
select
    items.folio,
    items.item,
    items.version,
    items.entry_id,
    current_metadata.key,
    current_metadata.value,
    current_metadata.value_number
from items
inner join current_metadata
    on current_metadata.subject_kind = 'entry' and items.entry_id = current_metadata.subject_id
