"""What an export says of itself to whoever opens it: `README.txt`."""

from typing import Final

README: Final = """\
AKASHI (証): EXPORT OF THE AUDIT TRAIL

Everything that happened, as the events that tell it, and the log that commits to it.

  topics/<topic>/<row>.parquet   the events, as Kafka holds them; <row>: records of the topic in the files before
  schemas/                       what the values mean: a JSON Schema of each event, and asyncapi.yaml of all topics
  log/leaves-<first>.jsonl       the transparency log, a line for each leaf
  manifest.json                  every file with its SHA-256; the log's checkpoint; the offsets of each partition
  manifest.note                  a signature over the manifest, by the log's key

VERIFY

  python -m transparency verify FOLDER --key VKEY

with the folder transparency/ of Akashi, Python 3.11 and the package "cryptography". Get VKEY by another way than this
export: a key that came with it proves nothing. docs/transparency.md says every byte of it, for tools of your own.

READ

Columns: partition, offset, timestamp_ms (milliseconds since 1970, UTC), key, value (bytes; JSON in UTF-8; null: "forget
what is under this key"), headers (a list of name and value; ce_type names the event). With DuckDB:

  SELECT "partition", "offset", make_timestamp(timestamp_ms * 1000) AS at, decode(key) AS key, decode(value) AS value
  FROM 'topics/certificates.v1/*.parquet' ORDER BY "partition", "offset";

With Python and pyarrow: pyarrow.parquet.read_table("topics/certificates.v1").

Names in the order of the files, and rows in the order of a file, are the order of each partition. In data-keys.v1 Kafka
keeps the last record of each key only, so its offsets have gaps; the other topics have none.

WHAT IS IN IT

Certificates, decisions and views in the clear. Contacts, messages and authentication keys (認証キー) only sealed, as
the events hold them; no key that opens them. It is business data of others all the same: keep it as such. Where
personal data is erased later, an export made before still holds it, sealed: export anew into another folder and destroy
this one.

証：監査証跡のエクスポート

起きたことのすべてを記録したイベントと、それを裏づける透明性ログです。

  topics/<トピック>/<行>.parquet  イベント（Kafka のレコードそのまま）。<行> は、それより前のファイルにある件数
  schemas/                       値の意味：イベントごとの JSON Schema と、全トピックの asyncapi.yaml
  log/leaves-<先頭>.jsonl        透明性ログ。一行が一つの葉
  manifest.json                  全ファイルの SHA-256、ログのチェックポイント、各パーティションの始めと次のオフセット
  manifest.note                  ログの鍵による manifest.json への署名

検証

  python -m transparency verify フォルダー --key 検証鍵

Akashi の transparency/ フォルダー、Python 3.11 と cryptography パッケージがあれば動きます。
検証鍵は必ずこのエクスポートとは別の経路で入手してください。同梱の鍵は何の証明にもなりません。
ご自身の道具で確かめるための仕様は docs/transparency.md にあります。

読み方

列は partition、offset、timestamp_ms（1970 年からのミリ秒、UTC）、key、value（バイト列、UTF-8 の JSON。
null は「このキーのものを忘れる」）、headers（名前と値のリスト。ce_type がイベントの種類）。
DuckDB や pyarrow でそのまま読めます（上の例）。
ファイル名の順、ファイルの中の行の順が、各パーティションの順序です。
data-keys.v1 は Kafka がキーごとに最後のレコードだけを残すため、オフセットに欠番があります。
ほかのトピックにはありません。

含まれるもの

電子証書、審査結果、閲覧の記録は平文です。連絡先、連絡事項、認証キーは、イベントにあるとおり封をしたままで、
開く鍵は含みません。それでも他者の業務情報ですから、相応に保管してください。
個人情報が後で消去されても、それより前のエクスポートには封をしたまま残ります。
別のフォルダーに取り直し、古いものは破棄してください。
"""
