import { explain } from './explain.ts';
import { listen } from './listen.ts';
import { send } from './send.ts';
import { Failure, type Io, UsageError } from './terminal.ts';

/** The package's own; a test holds it against package.json. */
export const VERSION = '0.1.0';

const HELP = `payproof: send, explain and receive payment callbacks

  payproof send <provider> --to URL      signs a delivery and posts it as the provider does
  payproof explain --provider P FILE     verifies a saved request, or says why it is refused
  payproof listen --provider P           receives deliveries and explains each of them

  payproof <command> --help              the options of a command
  payproof --version

Providers: hatexcard, hitpay, dexchange.

Secrets come from the environment, or are asked for (not shown) on a terminal:
  HATEXCARD_SECRET                       whsec_...
  HITPAY_SALT                            the API key's salt (form)
  HITPAY_EVENT_SALT                      the registered endpoint's salt (event)
  DEXCHANGE_CALLBACK_SECRET              the secret of callbackUrl (token)
  DEXCHANGE_BEARER_TOKEN                 the static token (bearer)
  DEXCHANGE_SIGNATURE_SECRET             the secret of the signature (signature)

Results go to stdout, messages to stderr. NO_COLOR turns colours off.
Exit code: 0 verified, or answered 2xx; 1 refused, or not reached; 2 wrong usage; 3 not written.
`;

type Command = (args: readonly string[], io: Io) => Promise<number>;
const COMMANDS: Readonly<Record<string, Command>> = { send, explain, listen };

/**
 * The program `payproof`.
 *
 * @param argv the arguments after the program's name
 * @returns the exit code
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const [name = '', ...args] = argv;
  try {
    if (name === '--help' || name === '-h' || name === 'help') {
      io.stdout.write(HELP);
      return 0;
    }
    if (name === '--version' || name === '-v') {
      io.stdout.write(`${VERSION}\n`);
      return 0;
    }
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === undefined) {
      throw new UsageError(`the command must be one of ${Object.keys(COMMANDS).join(', ')}`);
    }
    return await command(args, io);
  } catch (error) {
    if (error instanceof UsageError || isArgumentError(error)) {
      // The parser's advice for odd positionals is none for these commands.
      const message = error.message.split(/\. To specify|\n/, 1)[0];
      const which = Object.hasOwn(COMMANDS, name) ? ` ${name}` : '';
      io.stderr.write(`payproof: ${message}\nTry: payproof${which} --help\n`);
      return 2;
    }
    if (error instanceof Failure) {
      io.stderr.write(`payproof: ${error.message}\n`);
      return 1;
    }
    throw error;
  }
}

/** What `parseArgs` of Node throws for a wrong option. */
function isArgumentError(error: unknown): error is Error {
  return (
    error instanceof TypeError &&
    String((error as { code?: unknown }).code).startsWith('ERR_PARSE_ARGS_')
  );
}
