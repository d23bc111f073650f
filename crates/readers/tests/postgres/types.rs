//! Values of each type, against what the server says that they are.

use rowmark_readers::QueryRows;
use rowmark_rows::{Row, Value};
use serde::{Deserialize, Serialize};

use super::server::Server;
use super::{all, check_error};

/// Compares values of a type with the texts of an expression over them.
#[track_caller]
fn check_texts(server: &Server, values: &str, text: &str) {
    let sql = format!("select v, {text} as expected from ({values}) as values (v)");
    let rows: Vec<Row> = all(server.query(sql)).unwrap();
    assert!(rows.len() > 4, "{} rows are no test", rows.len());
    for row in rows {
        assert_eq!(row["v"], row["expected"]);
    }
}

#[test]
fn numbers_have_all_of_their_digits() {
    let Some(server) = Server::of_tests() else { return };
    check_texts(
        &server,
        "select unnest('{0, -0.0, 0.00, 1, -1, 10000, 9999.9999, 0.00001, 1e-20, 100000000, 12345678901234567890.123456789,
            -0.0010, 1.10, NaN, Infinity, -Infinity, 1e300, 123e-200}'::numeric[])",
        "v::text",
    );
    let random = "select (case when random() < 0.5 then -1 else 1 end) * round((random() * 10.0 ^ (random() * 60 - 20))::numeric,
        (random() * 30)::int) from generate_series(1, 5000)";
    check_texts(&server, random, "v::text");
    let row = all::<Row>(server.query(
        "select 'nan'::float8 as a, '-infinity'::float4 as b, 0.1::float4 as c, 0.1::float8 as d,
            9223372036854775807::int8 as e, (-32768)::int2 as f, 4294967295::oid as g",
    ))
    .unwrap()
    .remove(0);
    assert!(row["a"].as_f64().unwrap().is_nan());
    assert_eq!((row["b"].as_f64(), row["c"].as_f64()), (Some(f64::NEG_INFINITY), Some(f64::from(0.1f32))));
    assert_eq!((row["d"].as_f64(), row["e"].as_i64()), (Some(0.1), Some(i64::MAX)));
    assert_eq!((row["f"].as_i64(), row["g"].as_u64()), (Some(-32768), Some(u64::from(u32::MAX))));
}

#[test]
fn times_are_told_in_iso_8601_and_instants_in_utc() {
    let Some(server) = Server::of_tests() else { return };
    let days = "select '0001-01-01'::date + n * 97 from generate_series(0, 37000) as n";
    check_texts(&server, days, "to_char(v, 'YYYY-MM-DD')");
    let moments = "select '1582-10-04 23:59:59'::timestamp + n * '997 days 13:17:11.000001'::interval
        from generate_series(0, 3000) as n";
    let text = "regexp_replace(regexp_replace(to_char(v, 'YYYY-MM-DD\"T\"HH24:MI:SS.US'), '000$', ''), '[.]000$', '')";
    check_texts(&server, moments, text);
    check_texts(&server, &moments.replace("::timestamp ", "::timestamptz "), &format!("{text} || 'Z'"));
    let texts = |sql: &str| {
        let row = all::<Row>(server.query(format!("select {sql}"))).unwrap().remove(0);
        row.values().iter().map(|value| value.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        texts(
            "date '0044-03-15 BC' as a, date '0001-12-31 BC' as b, date '10000-01-01' as c, date '5874897-12-31' as d"
        ),
        ["-0043-03-15", "0000-12-31", "+10000-01-01", "+5874897-12-31"]
    );
    assert_eq!(
        texts(
            "date 'infinity' as a, date '-infinity' as b, timestamp 'infinity' as c, timestamptz '-infinity' as d"
        ),
        ["infinity", "-infinity", "infinity", "-infinity"]
    );
    assert_eq!(
        texts(
            "timestamptz '2024-07-01 12:30:00.5+02' as a, timestamp '2024-07-01 12:30' as b, time '24:00' as c, time '00:00:00.000001' as d"
        ),
        ["2024-07-01T10:30:00.500Z", "2024-07-01T12:30:00", "24:00:00", "00:00:00.000001"]
    );
    assert_eq!(
        texts(
            "timetz '12:30+05:30' as a, timetz '12:30-08' as b, timetz '12:30Z' as c, timetz '12:30+01:02:03' as d"
        ),
        ["12:30:00+05:30", "12:30:00-08:00", "12:30:00Z", "12:30:00+01:02:03"]
    );
    let lengths = "select unnest('{0, 1 year, -1 month, 14 months -3 days, 1.5 seconds, -1.5 seconds, 25:00:01, -00:00:00.000001,
        178000000 years, -1 year 2 days -3 hours 4 minutes -5 seconds, 1 mon -1 day 00:01, 99 hours 0.100000}'::interval[])";
    check_texts(&server, lengths, "v::text");
    let random = "select make_interval(months => (random() * 40 - 20)::int, days => (random() * 9 - 4)::int,
        secs => round((random() * 20000 - 10000)::numeric, (random() * 6)::int)) from generate_series(1, 3000)";
    check_texts(&server, random, "v::text");
}

#[test]
fn texts_bytes_and_addresses_are_what_the_server_says() {
    let Some(server) = Server::of_tests() else { return };
    check_texts(&server, "select gen_random_uuid() from generate_series(1, 100)", "v::text");
    let addresses = "{10.1.2.3, 10.1.2.3/8, 0.0.0.0/0, ::1, 2001:db8::ff00:42:8329/64, ::ffff:1.2.3.4, fe80::1:0:0:1, ::/0}";
    check_texts(&server, &format!("select unnest('{addresses}'::inet[])"), "format('%s', v)");
    check_texts(
        &server,
        "select unnest('{10.0.0.0/8, 1.2.3.4/32, 2001:db8::/32, ::1/128, 0.0.0.0/0}'::cidr[])",
        "v::text",
    );
    server.run("drop type if exists mood cascade; drop domain if exists age; create type mood as enum ('fine', 'bad'); create domain age as int check (value >= 0)");
    let row = all::<Row>(server.query(
        "select 'fine'::mood as a, 7::age as b, '\\x00ff'::bytea as c, 'ab'::char(4) as d, 'é'::varchar as e, 'n'::name as f,
            'c'::\"char\" as g, '<a/>'::xml as h, ''::text as i, null::text as j, array['bad', null]::mood[] as k",
    ))
    .unwrap()
    .remove(0);
    assert_eq!(
        row.to_string(),
        "{a: \"fine\", b: 7, c: 2 bytes, d: \"ab  \", e: \"é\", f: \"n\", g: \"c\", h: \"<a/>\", i: \"\", j: null, k: [\"bad\", null]}"
    );
    assert_eq!(row["c"], Value::Bytes(vec![0, 255]));
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mood {
        Fine,
        Bad,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Felt {
        mood: Mood,
    }
    let felt = all::<Felt>(server.query("select unnest(enum_range(null::mood)) as mood")).unwrap();
    assert_eq!(felt, [Felt { mood: Mood::Fine }, Felt { mood: Mood::Bad }]);
}

#[test]
fn arrays_and_json_are_nested_values() {
    let Some(server) = Server::of_tests() else { return };
    let sql =
        "select array[1, null, 3] as flat, array[[1.5, 2], [3, 4]]::numeric[] as deep, '{}'::text[] as none,
        '{\"a\": [{\"b\": null}, {\"b\": 2}], \"c\": \"d\"}'::jsonb as object, '[1, 2.5]'::json as list,
        array['2024-01-01']::date[] as days, array['{\"n\": 1}']::json[] as objects";
    let mut rows = QueryRows::<Row>::open(server.query(sql)).unwrap();
    assert_eq!(
        rows.schema().to_string(),
        "flat: [i32?]?, deep: [[string?]?]?, none: [string?]?, object: {a: [{b: i64?}?]?, c: string?}?, \
         list: [f64?]?, days: [string?]?, objects: [{n: i64?}?]?"
    );
    assert_eq!(
        rows.next().unwrap().unwrap().to_string(),
        "{flat: [1, null, 3], deep: [[\"1.5\", \"2\"], [\"3\", \"4\"]], none: [], object: {a: [{b: null}, {b: 2}], c: \"d\"}, \
         list: [1, 2.5], days: [\"2024-01-01\"], objects: [{n: 1}]}"
    );
    check_error::<Row>(
        server.query(
            "select case when n < 5 then '1'::json else '\"one\"' end as j from generate_series(1, 9) as n",
        ),
        "row 4 of the query: field j is string \"one\", where a number is expected; cast it in the query, as in `cast(j as text)`",
    );
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: f64,
    tags: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nested {
    at: Point,
    matrix: Vec<Vec<i64>>,
    pair: [i32; 2],
    names: Option<Vec<Option<String>>>,
}

#[test]
fn nested_values_are_read_as_structs() {
    let Some(server) = Server::of_tests() else { return };
    let sql = "select '{\"x\": 1, \"tags\": [\"a\"]}'::jsonb as at, array[[1, 2], [3, 4]] as matrix, array[5, 6] as pair,
        array['n', null] as names";
    let at = Point { x: 1.0, tags: vec!["a".into()] };
    let names = Some(vec![Some("n".into()), None]);
    assert_eq!(
        all::<Nested>(server.query(sql)).unwrap(),
        [Nested { at, matrix: vec![vec![1, 2], vec![3, 4]], pair: [5, 6], names }]
    );
    check_error::<Nested>(
        server.query(sql.replace("array[5, 6]", "array['5', '6']")),
        "column `pair` is text[] and cannot be read as [i32; 2] without loss",
    );
    check_error::<Nested>(
        server.query(sql.replace("\"x\": 1", "\"x\": \"one\"")),
        "row 0 of the query: column `at.x`, found {",
    );
    check_error::<Row>(
        server.query("select case when n < 1500 then array[n] else array[[n]] end as n from generate_series(1, 2000) as n"),
        "row 1499 of the query: field n.item is list [1500], where i32? is expected; cast it in the query",
    );
}

#[test]
fn parameters_are_of_whatever_type_is_expected() {
    let Some(server) = Server::of_tests() else { return };
    let sql = "select $1::int as a, $2::text as b, $3::timestamptz as c, $4::bytea as d, $5::float8 as e, $6::bool as f,
        $7::numeric as g, $8::text[] as h, $9::int[] as i, $10::text as j, $11::date as k";
    let matrix = Value::List(vec![
        Value::List(vec![Value::I64(1), Value::Null]),
        Value::List(vec![Value::I64(3), Value::I64(4)]),
    ]);
    let texts = Value::List(vec!["a\"b\\c".into(), "null".into(), Value::Null, "".into(), "{,}".into()]);
    let mut query =
        server.query(sql).param(7).param("it's \"$1\"").param("2024-07-01 12:00+02").param(vec![0u8, 255]);
    query = query
        .param(f64::MIN_POSITIVE)
        .param(true)
        .param("1e-3")
        .param(texts)
        .param(matrix)
        .param(None::<&str>)
        .param("2024-02-03");
    let row = all::<Row>(query).unwrap().remove(0);
    assert_eq!(
        row.to_string(),
        "{a: 7, b: \"it's \\\"$1\\\"\", c: \"2024-07-01T10:00:00Z\", d: 2 bytes, e: 0.000, f: true, g: \"0.001\", h: [\"a\\\"b\\\\c\", \"null\", null, \"\", \"{,}\"], i: [[1, null], [3, 4]], j: null, k: \"2024-02-03\"}"
            .replace("0.000", &f64::MIN_POSITIVE.to_string())
    );
    check_error::<Row>(
        server.query("select $1::json as j").param(Value::Map(Vec::new())),
        "error serializing parameter 0: objects cannot be parameters; pass the text of their JSON",
    );
}

/// Whatever a role's settings are, a query gives the same rows.
#[test]
fn settings_of_the_server_change_no_value() {
    let Some(server) = Server::of_tests() else { return };
    server.run(
        "drop role if exists abroad; create role abroad login password 'abroad';
        alter role abroad set timezone = 'Asia/Kolkata'; alter role abroad set datestyle = 'German, DMY';
        alter role abroad set intervalstyle = 'sql_standard'; alter role abroad set extra_float_digits = -15;
        alter role abroad set bytea_output = 'escape'",
    );
    let place = server.url().split_once('@').unwrap().1;
    let sql = "select t, t::text as t_text, t::date as day, date_trunc('day', t) as morning, (0.1::float8 + 0.2)::text as sum, f4, f4::text as f4_text,
        b::text as bytes, '1 year 2 days 03:00'::interval::text as length, date '2024-02-01'::text as date, $1::date as read
        from (values (timestamptz '2024-07-01 20:30:00Z', 0.1::float4, '\\x00ff'::bytea)) as v (t, f4, b)";
    let rows = |url: String| {
        let query = rowmark_readers::Query::new(url, sql).param("2024-02-03");
        all::<Row>(query).unwrap().remove(0).to_string()
    };
    let here = rows(server.url().to_owned());
    assert_eq!(rows(format!("postgresql://abroad:abroad@{place}")), here);
    assert_eq!(
        here,
        "{t: \"2024-07-01T20:30:00Z\", t_text: \"2024-07-01 20:30:00+00\", day: \"2024-07-01\", morning: \"2024-07-01T00:00:00Z\", sum: \"0.30000000000000004\", f4: 0.10000000149011612, f4_text: \"0.1\", bytes: \"\\\\x00ff\", length: \"P1Y2DT3H\", date: \"2024-02-01\", read: \"2024-02-03\"}"
    );
}
