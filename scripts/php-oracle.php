<?php

// Signs HitPay's form as HitPay's own PHP samples do: the independent judge of our reading.
//
// Usage: php -d arg_separator.input='&' scripts/php-oracle.php <salt> < bodies
//
// Reads one body per line. Prints one line of JSON per body: the hmac that the fields should have,
// the hmac that came with them, and the fields as PHP reads them, in the order signed.

if (ini_get('arg_separator.input') !== '&' || (int) ini_get('max_input_vars') < 65) {
    fwrite(STDERR, "php-oracle: parse_str would not read every field\n");
    exit(1);
}

$salt = $argv[1];
while (($line = fgets(STDIN)) !== false) {
    parse_str(rtrim($line, "\n"), $fields);
    $sent = $fields['hmac'];
    unset($fields['hmac']);
    ksort($fields, SORT_STRING);
    $text = '';
    foreach ($fields as $key => $value) {
        $text .= $key . $value;
    }
    echo json_encode(
        ['hmac' => hash_hmac('sha256', $text, $salt), 'sent' => $sent, 'fields' => $fields],
        JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_FORCE_OBJECT
    ), "\n";
}
