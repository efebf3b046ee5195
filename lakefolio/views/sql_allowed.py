"""The names that SQL may use, for ``sql_rules``. Standard library only.

Left out are functions that change the connection, read files, settings, environment or clocks of the machine, take
pointers or states of aggregates from outside, or run a text as SQL.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AGGREGATES",
    "CATALOGUE",
    "EXPRESSIONS",
    "FUNCTIONS",
    "GRAMMAR",
    "LITERAL_ONLY",
    "NODES",
    "PLAIN_KEYS",
    "TABLE_FUNCTIONS",
    "TYPES",
]


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


EXPRESSIONS: Final = {
    "BETWEEN": {"COMPARE_BETWEEN", "COMPARE_NOT_BETWEEN"},
    "CASE": {"CASE_EXPR"},
    "CAST": {"OPERATOR_CAST"},
    "COLLATE": {"COLLATE"},
    "COLUMN_REF": {"COLUMN_REF"},
    "COMPARISON": {
        "COMPARE_EQUAL", "COMPARE_NOTEQUAL", "COMPARE_LESSTHAN", "COMPARE_LESSTHANOREQUALTO", "COMPARE_GREATERTHAN",
        "COMPARE_GREATERTHANOREQUALTO", "COMPARE_DISTINCT_FROM", "COMPARE_NOT_DISTINCT_FROM",
    },
    "CONJUNCTION": {"CONJUNCTION_AND", "CONJUNCTION_OR"},
    "CONSTANT": {"VALUE_CONSTANT"},
    "FUNCTION": {"FUNCTION"},
    "LAMBDA": {"LAMBDA"},
    "OPERATOR": {
        "ARRAY_CONSTRUCTOR", "ARRAY_EXTRACT", "ARRAY_SLICE", "COMPARE_IN", "COMPARE_NOT_IN", "GROUPING_FUNCTION",
        "OPERATOR_COALESCE", "OPERATOR_IS_NOT_NULL", "OPERATOR_IS_NULL", "OPERATOR_NOT", "OPERATOR_NULLIF",
        "OPERATOR_TRY", "OPERATOR_UNPACK", "STRUCT_EXTRACT",
    },
    "POSITIONAL_REFERENCE": {"POSITIONAL_REFERENCE"},
    "STAR": {"STAR"},
    "SUBQUERY": {"SUBQUERY"},
    "WINDOW": {
        "WINDOW_AGGREGATE", "WINDOW_CUME_DIST", "WINDOW_FILL", "WINDOW_FIRST_VALUE", "WINDOW_LAG", "WINDOW_LAST_VALUE",
        "WINDOW_LEAD", "WINDOW_NTH_VALUE", "WINDOW_NTILE", "WINDOW_PERCENT_RANK", "WINDOW_RANK", "WINDOW_RANK_DENSE",
        "WINDOW_ROW_NUMBER",
    },
}  # fmt: skip
NODES: Final = {
    # queries
    "SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE",
    # what they read
    "BASE_TABLE", "EMPTY", "EXPRESSION_LIST", "JOIN", "PIVOT", "SUBQUERY", "TABLE_FUNCTION",
    # how they order and cut
    "DISTINCT_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "ORDER_MODIFIER",
    "ORDER_DEFAULT", "ASCENDING", "DESCENDING",
    # types
    "ARRAY_TYPE_INFO", "DECIMAL_TYPE_INFO", "ENUM_TYPE_INFO", "GENERIC_TYPE_INFO", "INTEGER_LITERAL_TYPE_INFO",
    "LIST_TYPE_INFO", "STRING_TYPE_INFO", "STRUCT_TYPE_INFO", "UNBOUND_TYPE_INFO",
}  # fmt: skip
PLAIN_KEYS: Final = _listed(
    "alias star_expr values aliases key_targets materialized query entries pivot_enum pivot_expressions unpivot_names"
    " error statements expr unit first second id type_info is_percentage method sample_size seed key value map"
    " named_param_map node then_expr when_expr catalog column schema table is_null type collation lower upper"
)
"""Keys of the parts of a tree that have no type of their own."""

TYPES: Final = _listed(
    "any array bigint bignum binary bit bitstring blob bool boolean bpchar bytea char date datetime dec decimal double"
    " enum float float4 float8 guid hugeint int int1 int128 int16 int2 int32 int4 int64 int8 integer integer_literal"
    " integral interval invalid json list logical long map null numeric nvarchar real row short signed smallint"
    " sqlnull string string_literal struct text time timestamp timestamp_ms timestamp_ns timestamp_s timestamp_us"
    " timestamptz timetz time_ns tinyint ubigint uhugeint uint128 uint16 uint32 uint64 uint8 uinteger unbound union"
    " unknown usmallint utinyint uuid varbinary varchar varint"
) | {"time with time zone", "timestamp with time zone"}

_OPERATORS: Final = "! !__postfix !~~ !~~* % & && * ** + - -> ->> / // <-> << <=> <@ >> @ @> ^ ^@ | || ~ ~~ ~~* ~~~"
_SCALAR: Final = """
abs acos acosh add age array_aggr array_aggregate array_append array_apply array_cat array_concat array_contains
array_cosine_distance array_cosine_similarity array_cross_product array_distance array_distinct array_dot_product
array_extract array_filter array_grade_up array_has array_has_all array_has_any array_indexof array_inner_product
array_intersect array_length array_negative_dot_product array_negative_inner_product array_pop_back array_pop_front
array_position array_prepend array_push_back array_push_front array_reduce array_resize array_reverse
array_reverse_sort array_select array_slice array_sort array_to_json array_to_string array_transform array_unique
array_value array_where array_zip ascii asin asinh atan atan2 atanh apply bar base64 bin bit_count bit_length
bit_position bitstring cardinality cbrt ceil ceiling century char_length character_length chr coalesce concat
concat_ws contains cos cosh cot current_date current_localtime current_localtimestamp damerau_levenshtein date_add
date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth dayofweek
dayofyear days_in_month decade decode degrees divide editdist3 element_at encode ends_with enum_code enum_first
enum_last enum_range enum_range_boundary epoch epoch_ms epoch_ns epoch_us equi_width_bins era error even exp
factorial fdiv filter flatten floor fmod format formatreadabledecimalsize formatreadablesize format_bytes from_base64
from_binary from_hex from_json from_json_strict gamma gcd gen_random_uuid generate_series generate_subscripts get_bit
get_current_time get_current_timestamp grade_up greatest greatest_common_divisor hamming hash hex hour ilike_escape
instr is_histogram_other_bin isfinite isinf isnan isodow isoyear jaccard jaro_similarity jaro_winkler_similarity json
json_array json_array_length json_contains json_exists json_extract json_extract_path json_extract_path_text
json_extract_string json_group_array json_group_object json_group_structure json_keys json_merge_patch json_object
json_pretty json_quote json_structure json_transform json_transform_strict json_type json_valid json_value julian
last_day lcase lcm least least_common_multiple left left_grapheme len length length_grapheme levenshtein lgamma
like_escape list_aggr list_aggregate list_any_value list_append list_apply list_approx_count_distinct list_avg
list_bit_and list_bit_or list_bit_xor list_bool_and list_bool_or list_cat list_concat list_contains
list_cosine_distance list_cosine_similarity list_count list_distance list_distinct list_dot_product list_element
list_entropy list_extract list_filter list_first list_grade_up list_has list_has_all list_has_any list_histogram
list_indexof list_inner_product list_intersect list_kurtosis list_kurtosis_pop list_last list_mad list_max list_median
list_min list_mode list_negative_dot_product list_negative_inner_product list_pack list_position list_prepend
list_product list_reduce list_resize list_reverse list_reverse_sort list_select list_sem list_skewness list_slice
list_sort list_stddev_pop list_stddev_samp list_string_agg list_sum list_transform list_unique list_value list_var_pop
list_var_samp list_where list_zip ln log log10 log2 lower lpad ltrim make_date make_time make_timestamp
make_timestamp_ms make_timestamp_ns make_timestamptz map map_concat map_contains map_contains_entry map_contains_value
map_entries map_extract map_extract_value map_from_entries map_keys map_values md5 md5_number md5_number_lower
md5_number_upper microsecond millennium millisecond minute mismatches mod month monthname multiply nanosecond
nextafter nfc_normalize normalized_interval not_ilike_escape not_like_escape now nullif octet_length ord parse_dirname
parse_dirpath parse_filename parse_formatted_bytes parse_path pg_typeof pi position pow power prefix printf
quarter radians random range reduce regexp_escape regexp_extract regexp_extract_all regexp_full_match
regexp_matches regexp_replace regexp_split_to_array repeat replace reverse right right_grapheme round
round_even roundbankers row row_to_json rpad rtrim second set_bit sha1 sha256 sign signbit sin sinh split
split_part sqrt starts_with str_split str_split_regex strftime string_split string_split_regex
string_to_array strip_accents strlen strpos strptime struct_concat struct_contains struct_extract
struct_extract_at struct_has struct_indexof struct_insert struct_keys struct_pack struct_position
struct_update struct_values substr substring substring_grapheme subtract suffix tan tanh time_bucket timezone
timezone_hour timezone_minute to_base to_base64 to_binary to_centuries to_days to_decades to_hex to_hours
to_json to_microseconds to_millennia to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp
to_weeks to_years today transaction_timestamp translate trim trunc try_strptime typeof ucase unbin unhex
unicode union_extract union_tag union_value unnest unpivot_list upper url_decode url_encode uuid
uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7 version week weekday weekofyear xor year yearweek """
AGGREGATES: Final = _listed("""
any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null arg_max_nulls_last arg_min
arg_min_null arg_min_nulls_last argmax argmin array_agg avg bit_and bit_or bit_xor bitstring_agg bool_and bool_or corr
count count_if count_star countif covar_pop covar_samp cume_dist dense_rank entropy favg fill first first_value fsum
geomean geometric_mean group_concat histogram histogram_exact kahan_sum kurtosis kurtosis_pop lag last last_value lead
list listagg mad max max_by mean median min min_by mode nth_value ntile percent_rank product quantile quantile_cont
quantile_disc rank rank_dense regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy
regr_syy reservoir_quantile row_number sem skewness stddev stddev_pop stddev_samp string_agg sum sum_no_overflow
sumkahan var_pop var_samp variance wavg weighted_avg
""")
"""Aggregates, and functions of windows."""
FUNCTIONS: Final = _listed(f"{_OPERATORS} {_SCALAR}") | AGGREGATES
TABLE_FUNCTIONS: Final = frozenset({"generate_series", "json_each", "json_tree", "range", "unnest"})
LITERAL_ONLY: Final = frozenset({"generate_series", "range"})
"""Table functions of which the SQL of others gives the bounds as literals."""
CATALOGUE: Final = _listed(
    "duckdb_columns duckdb_functions duckdb_keywords duckdb_tables duckdb_types duckdb_views pragma_show"
    " pragma_table_info pragma_version query_table"
)
"""Table functions that one's own SQL may call besides: they tell of the connection, or read the views by name."""
GRAMMAR: Final = _listed(
    "all and any as between by case cast columns distinct else exclude exists filter from group having if in interval"
    " is join lateral like limit not on or order over partition pivot replace select then try_cast union unpivot using"
    " values when where with within"
)
"""Words of the grammar that a parenthesis may follow."""
