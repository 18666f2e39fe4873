// The hops and rows of bare.py with Kafka's own clients and PostgreSQL's own driver. Run as `java Pipe.java first|middle|last`.
//
// As there: polls as large as ours, one transaction and one statement per table for each, all acknowledged before an
// outbox row goes, offsets committed after the transaction. A fault ends the process.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Pipe {
    static final String PREFIX = "java-";
    static final int BATCH = 500;
    static final long POLL_MS = 20;
    /** Frozen while others have their turn, it stays in its group. */
    static final String SESSION_MS = "300000";
    static final ObjectMapper JSON = new ObjectMapper();
    static final Semaphore COMMITTED = new Semaphore(0);

    record Sample(byte[] value, String headers) {}

    static Connection connect() throws Exception {
        Connection made = DriverManager.getConnection(
            System.getenv("BENCH_JDBC"), System.getenv("BENCH_USER"), System.getenv("BENCH_PASSWORD"));
        made.setAutoCommit(false);
        return made;
    }

    static Properties kafka() throws Exception {
        Properties told = new Properties();
        JsonNode options = JSON.readTree(System.getenv("BENCH_KAFKA"));
        told.put("bootstrap.servers", options.get("bootstrap_servers").asText());
        told.put("security.protocol", options.get("security_protocol").asText());
        told.put("sasl.mechanism", options.get("sasl_mechanism").asText());
        told.put("sasl.jaas.config", String.format(
            "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"%s\" password=\"%s\";",
            options.get("sasl_plain_username").asText(), options.get("sasl_plain_password").asText()));
        return told;
    }

    static void relay(String table) throws Exception {
        Properties told = kafka();
        told.put("enable.idempotence", "true");
        told.put("acks", "all");
        told.put("linger.ms", "2");
        told.put("batch.size", "262144");
        try (Connection db = connect();
                KafkaProducer<byte[], byte[]> producer =
                    new KafkaProducer<>(told, new ByteArraySerializer(), new ByteArraySerializer());
                PreparedStatement oldest = db.prepareStatement(
                    "SELECT id, topic, key, value, headers FROM " + table + " ORDER BY id LIMIT " + BATCH);
                PreparedStatement delete = db.prepareStatement("DELETE FROM " + table + " WHERE id = ANY(?)")) {
            while (true) {
                COMMITTED.drainPermits();
                List<Long> ids = new ArrayList<>();
                List<Future<?>> sent = new ArrayList<>();
                try (ResultSet rows = oldest.executeQuery()) {
                    while (rows.next()) {
                        var message = new ProducerRecord<>(rows.getString(2), rows.getBytes(3), rows.getBytes(4));
                        for (JsonNode header : JSON.readTree(rows.getString(5))) {
                            message.headers().add(
                                header.get(0).asText(), header.get(1).asText().getBytes(StandardCharsets.UTF_8));
                        }
                        sent.add(producer.send(message));
                        ids.add(rows.getLong(1));
                    }
                }
                if (ids.isEmpty()) {
                    db.commit();
                    COMMITTED.tryAcquire(POLL_MS, TimeUnit.MILLISECONDS);
                    continue;
                }
                for (Future<?> acknowledged : sent) acknowledged.get();
                delete.setArray(1, db.createArrayOf("bigint", ids.toArray()));
                delete.execute();
                db.commit();
            }
        }
    }

    /** The keys of those that were not there. */
    static List<byte[]> addRows(Connection db, String table, List<ConsumerRecord<byte[], byte[]>> records) throws Exception {
        Array keys = db.createArrayOf("bytea", records.stream().map(ConsumerRecord::key).toArray(byte[][]::new));
        Array values = db.createArrayOf("bytea", records.stream().map(ConsumerRecord::value).toArray(byte[][]::new));
        List<byte[]> added = new ArrayList<>();
        try (PreparedStatement insert = db.prepareStatement("INSERT INTO " + table + " (id, value)"
                + " SELECT id, value FROM unnest(?::bytea[], ?::bytea[]) AS r (id, value)"
                + " ON CONFLICT (id) DO NOTHING RETURNING id")) {
            insert.setArray(1, keys);
            insert.setArray(2, values);
            try (ResultSet rows = insert.executeQuery()) {
                while (rows.next()) added.add(rows.getBytes(1));
            }
        }
        return added;
    }

    static void announce(Connection db, String table, List<byte[]> keys, Map<String, Sample> samples, String... kinds)
            throws Exception {
        if (keys.isEmpty()) return;
        List<String> topics = new ArrayList<>();
        List<byte[]> ids = new ArrayList<>();
        List<byte[]> values = new ArrayList<>();
        List<String> headers = new ArrayList<>();
        for (byte[] key : keys) {
            for (String kind : kinds) {
                topics.add(PREFIX + kind);
                ids.add(key);
                values.add(samples.get(kind).value());
                headers.add(samples.get(kind).headers());
            }
        }
        try (PreparedStatement insert = db.prepareStatement("INSERT INTO " + table + " (topic, key, value, headers)"
                + " SELECT topic, key, value, headers FROM unnest(?::text[], ?::bytea[], ?::bytea[], ?::text[])"
                + " WITH ORDINALITY AS m (topic, key, value, headers, n) ORDER BY n")) {
            insert.setArray(1, db.createArrayOf("text", topics.toArray()));
            insert.setArray(2, db.createArrayOf("bytea", ids.toArray(byte[][]::new)));
            insert.setArray(3, db.createArrayOf("bytea", values.toArray(byte[][]::new)));
            insert.setArray(4, db.createArrayOf("text", headers.toArray()));
            insert.execute();
        }
    }

    static void consume(String part) throws Exception {
        Properties told = kafka();
        told.put("group.id", PREFIX + part);
        told.put("session.timeout.ms", SESSION_MS);
        told.put("enable.auto.commit", "false");
        told.put("auto.offset.reset", "earliest");
        told.put("fetch.max.wait.ms", "100");
        told.put("max.poll.records", Integer.toString(BATCH));
        Map<String, Map<String, String>> hops = Map.of(
            "first", Map.of("decisions", "first_decided", "certificates", "first_certificate",
                "registrations", "first_registration"),
            "middle", Map.of("applications", "middle_row"),
            "last", Map.of("certificates", "last_row"));
        try (Connection db = connect();
                KafkaConsumer<byte[], byte[]> consumer =
                    new KafkaConsumer<>(told, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            Map<String, Sample> samples = new HashMap<>();
            try (ResultSet rows = db.createStatement().executeQuery("SELECT kind, value, headers FROM sample")) {
                while (rows.next()) samples.put(rows.getString(1), new Sample(rows.getBytes(2), rows.getString(3)));
            }
            db.commit();
            consumer.subscribe(hops.get(part).keySet().stream().map(kind -> PREFIX + kind).toList());
            Files.createFile(Path.of(System.getenv("BENCH_READY")));
            while (true) {
                var polled = consumer.poll(Duration.ofMillis(50));
                if (polled.isEmpty()) continue;
                Map<String, List<ConsumerRecord<byte[], byte[]>>> came = new HashMap<>();
                for (var record : polled) {
                    came.computeIfAbsent(record.topic().substring(PREFIX.length()), kind -> new ArrayList<>()).add(record);
                }
                for (var kind : came.entrySet()) {
                    List<byte[]> added = addRows(db, hops.get(part).get(kind.getKey()), kind.getValue());
                    if (part.equals("middle")) announce(db, "middle_outbox", added, samples, "decisions", "certificates");
                    if (part.equals("last")) announce(db, "last_outbox", added, samples, "registrations");
                }
                db.commit();
                COMMITTED.release();
                consumer.commitSync();
            }
        }
    }

    interface Work {
        void run() throws Exception;
    }

    static void start(Work work) {
        new Thread(() -> {
            try {
                work.run();
            } catch (Exception fault) {
                fault.printStackTrace();
                System.exit(1);
            }
        }).start();
    }

    public static void main(String[] arguments) {
        start(() -> relay(arguments[0] + "_outbox"));
        start(() -> consume(arguments[0]));
    }
}
