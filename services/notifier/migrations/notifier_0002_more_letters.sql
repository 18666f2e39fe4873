-- Besides the completion letter: `returned` about an application as a whole, `viewed` about the purchaser's first view of
-- a certificate, and `undeliverable.<letter>` to the surety about a letter that was given up. Processes of the release
-- before may run beside this: the rows they write get their `about_id`, and the key they know stays unique. They do not
-- read the new wishes, so all notifiers are of this release before intake is.

ALTER TABLE delivery
    -- what the contractor wished for besides the completion letter (`wanted`)
    ADD COLUMN returned_wanted boolean NOT NULL DEFAULT false,
    ADD COLUMN viewed_wanted boolean NOT NULL DEFAULT false;
-- Contact data is kept where any letter is wanted, and until it is shredded. `delivery_without_key` knows one letter
-- only, and can go with the release after this.
CREATE INDEX delivery_sealed_without_key ON delivery (wished_at)
    WHERE contact_ciphertext IS NOT NULL AND wrapped IS NULL;

ALTER TABLE letter
    DROP CONSTRAINT letter_pkey,
    -- absent where the letter is about an application as a whole, as is the contract number
    ALTER COLUMN certificate_id DROP NOT NULL,
    ALTER COLUMN contract_number DROP NOT NULL,
    -- of a completion letter
    ALTER COLUMN product DROP NOT NULL,
    -- absent until the application says which surety it is from
    ALTER COLUMN message_id DROP NOT NULL,
    -- what the letter is about, whose id its Message-ID begins with
    ADD COLUMN about_id uuid GENERATED ALWAYS AS (coalesce(certificate_id, application_id)) STORED,
    -- of a returned application: those that were returned
    ADD COLUMN products text[],
    -- of a letter to the surety: why the one to the contractor was given up
    ADD COLUMN given_up_reason text;
ALTER TABLE letter
    ADD PRIMARY KEY (about_id, letter),
    -- by which the release before finds its rows; can go with the release after this
    ADD CONSTRAINT letter_of_certificate UNIQUE (certificate_id, letter);
-- Renamed when nobody reads it by this name any more.
COMMENT ON COLUMN letter.registered_at IS 'when what the letter tells happened: registered, decided, viewed or given up';

-- What the sweeper forgets: the application said no, and the application's row remembers that.
CREATE INDEX letter_not_wished ON letter (about_id) WHERE state = 'not_wished' AND letter IN ('returned', 'viewed');
