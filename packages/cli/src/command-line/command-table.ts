import type { Argument, Command, Flag } from './command.ts'

const NAME: Argument = { name: 'ID|KEY' }
const NAMES: Argument = { name: 'ID|KEY', multiple: true }
const PREFIX: Argument = { name: 'PREFIX', optional: true }
const ONE_BACKEND: Argument = { name: 'BACKEND', complete: 'backend' }
const ANY_BACKEND: Argument = { ...ONE_BACKEND, optional: true }
const SHELLS = ['bash', 'zsh', 'fish']
const JOB_STATES = ['waiting', 'running', 'parked']

const BACKEND: Flag = { name: 'backend', value: 'B', help: 'Only this backend', complete: 'backend' }
const BACKENDS: Flag = { name: 'backend', value: 'B', multiple: true, help: '', complete: 'backend' }
const NO_WAIT: Flag = { name: 'no-wait', help: 'Leave the jobs to the next process that syncs' }
const LIMIT: Flag = { name: 'limit', value: 'N', help: 'Maximum number of results' }

/** Every command: its name, arguments and module. */
export const COMMANDS: readonly Command[] = [
  {
    name: 'init',
    args: [{ name: 'DIR', optional: true, complete: 'directory' }],
    flags: [{ name: 'recover', help: 'Make a store from the staged files of one whose index was lost' }],
    help: 'Make a store: stored.config.json and the store directory',
    details:
      'On a terminal it asks for the first backend; with --yes, or without a terminal, that is a folder `data` next to the configuration. An existing configuration is kept. With --recover, each staged file is hashed, bound to its default key and queued for the default backends; keys, and blobs of up to 64 KiB, are lost with the index. Nothing is removed, and a healthy store is refused.',
    examples: ['stored init', 'stored init ~/photos --yes', 'stored init --recover'],
    load: () => import('../commands/init.ts'),
  },
  {
    name: 'put',
    args: [{ name: 'SRC', multiple: true, complete: 'file' }],
    flags: [
      { name: 'key', value: 'K', help: 'The key; for one source only' },
      { name: 'prefix', value: 'P', help: 'Prefix of every key, followed by a slash' },
      { name: 'recursive', short: 'r', help: 'SRC is a directory: put every file in it' },
      { ...BACKENDS, help: 'Where copies go; otherwise the default backends' },
      { name: 'meta', value: 'k=v', multiple: true, help: 'A field of the key; an empty value removes it' },
      { name: 'replace-meta', help: 'Remove all fields that --meta does not name' },
      { name: 'if-absent', help: 'Refuse keys that are taken' },
      { name: 'if-match', value: 'WHAT', help: 'Refuse a key unless it has this id or version, as stat shows them' },
      {
        name: 'checksum',
        value: 'NAME',
        multiple: true,
        help: 'Record this checksum too: md5, sha1, crc32, crc32c, crc64nvme or xxh3',
        complete: ['md5', 'sha1', 'crc32', 'crc32c', 'crc64nvme', 'xxh3'],
      },
      NO_WAIT,
    ],
    help: 'Store files, or stdin with -',
    details:
      'The key of a file is its name; in a directory it is the path from there; for stdin it is derived from the checksum. Ends when the copies are made, by this process or by another one that syncs. Does not wait for a backend that is paused or failing: its jobs stay queued.',
    examples: [
      'stored put photo.jpg --prefix 2024',
      'stored put -r photos --backend local --backend s3-prod',
      'tar c . | stored put - --key backup.tar',
      'stored put disk.iso --checksum md5 --checksum crc64nvme',
    ],
    load: () => import('../commands/put.ts'),
  },
  {
    name: 'get',
    args: [NAME],
    flags: [
      {
        name: 'output',
        short: 'o',
        value: 'FILE',
        help: 'Output file, or - for stdout; otherwise a new file named by the last part of the key',
        complete: 'file',
      },
      { name: 'range', value: 'A-B', help: 'These bytes, from 0, both included: 0-99, 100-, -100' },
      { ...BACKENDS, help: 'Read the copy there and no other; given again: that one next, when it fails' },
      { name: 'fallback', help: 'Try the other copies when one fails' },
      { name: 'verify', help: 'Verify a range too: reads the whole blob' },
    ],
    help: 'Read a blob into a file',
    details:
      'Whole blobs are verified against their checksum. The file appears whole or not at all; --output replaces an existing file. With --fallback, or several --backend, the next copy is read if one fails, even if wrong bytes show only at the end.',
    examples: [
      'stored get photos/a.jpg',
      'stored get photos/a.jpg --backend usb --backend s3-prod',
      'stored get photos/a.jpg -o copy.jpg',
      'stored get log.txt -o - --range -1000',
    ],
    load: () => import('../commands/get.ts'),
  },
  {
    name: 'cat',
    args: [NAME],
    flags: [
      { name: 'range', value: 'A-B', help: 'These bytes, from 0, both included: 0-99, 100-, -100' },
      { ...BACKENDS, help: 'Read the copy there and no other; given again: that one next, when it fails' },
      { name: 'fallback', help: 'Try the other copies when one fails' },
      { name: 'verify', help: 'Verify a range too: reads the whole blob' },
    ],
    help: 'Write a blob to stdout',
    details:
      'If bytes are wrong, it ends with an error instead of the last bytes. With --fallback, or several --backend, the next copy is read if one fails; beyond 64 KiB only as long as none of its bytes were written. With --json the records go to stderr.',
    examples: ['stored cat notes.txt', 'stored cat backup.tar | tar x'],
    load: () => import('../commands/cat.ts'),
  },
  {
    name: 'ls',
    args: [PREFIX],
    flags: [
      { name: 'long', short: 'l', help: 'Show size, time, copies and id' },
      { name: 'tree', help: 'Show a tree' },
      BACKEND,
      { name: 'unsynced', help: 'Only keys with a copy that is not synced yet' },
      { name: 'missing', help: 'Include blobs whose every copy was found missing' },
      { name: 'internal', help: 'Include keys that belong to packages' },
      LIMIT,
    ],
    help: 'List keys',
    details: 'Reads the index; asks no backend.',
    examples: ['stored ls', 'stored ls -l photos/', 'stored ls --unsynced --json'],
    load: () => import('../commands/ls.ts'),
  },
  {
    name: 'stat',
    args: [NAMES],
    flags: [{ name: 'copies', help: 'List all copies of an id, also if there are more than 100' }],
    help: 'Show everything known about blobs',
    examples: ['stored stat photos/a.jpg'],
    load: () => import('../commands/stat.ts'),
  },
  {
    name: 'has',
    args: [NAMES],
    flags: [],
    help: 'Tell whether blobs are there: exit code 0 if all are, 1 if one is not',
    examples: ['stored has photos/a.jpg && echo yes'],
    load: () => import('../commands/has.ts'),
  },
  {
    name: 'link',
    args: [{ name: 'KEY' }, NAME],
    flags: [
      { ...BACKENDS, help: 'Where copies go; otherwise the default backends' },
      { name: 'if-absent', help: 'Refuse a key that is taken' },
      NO_WAIT,
    ],
    help: 'Give a blob another key',
    details:
      'KEY is bound to the blob of the id or key, with the same type and fields. Its copies are made as those of put; bytes that are not staged are read from another copy.',
    examples: ['stored link latest.tar backups/2024-11.tar'],
    load: () => import('../commands/link.ts'),
  },
  {
    name: 'rm',
    args: [NAMES],
    flags: [
      { ...BACKENDS, help: 'Drop only the copies there, never the last one' },
      { name: 'recursive', short: 'r', help: 'Remove every key below, as in a directory' },
      NO_WAIT,
    ],
    help: 'Remove keys, or all keys of an id',
    details: 'Readers no longer see the keys at once; the objects are removed by jobs, as the copies of put are made.',
    examples: ['stored rm photos/a.jpg', 'stored rm -r photos --dry-run', 'stored rm photos/a.jpg --backend old'],
    load: () => import('../commands/rm.ts'),
  },
  {
    name: 'whereis',
    args: [{ name: 'ID|KEY|PREFIX', optional: true }],
    flags: [],
    help: 'Show which backend has which blob, with a column for each',
    examples: ['stored whereis', 'stored whereis photos/'],
    load: () => import('../commands/whereis.ts'),
  },
  {
    name: 'copies',
    args: [],
    flags: [
      { name: 'want', value: 'N', help: 'Required synced copies of each blob; otherwise one on every default backend' },
      { name: 'fix', help: 'Make missing copies, and repair damaged ones' },
      NO_WAIT,
    ],
    help: 'List blobs with too few copies',
    details: 'Ends with 9 if there are any, or with --fix if any remain. Copies are counted for each key.',
    examples: ['stored copies --want 2', 'stored copies --want 2 --fix'],
    load: () => import('../commands/copies.ts'),
  },
  {
    name: 'verify',
    args: [PREFIX],
    flags: [
      BACKEND,
      { name: 'sample', value: 'PERCENT', help: 'Read only this part of the blobs, a different one each day: 5%' },
      { name: 'resume', help: 'Continue where the last run was interrupted' },
    ],
    help: 'Read copies again and compare them with their checksums',
    details:
      'PREFIX applies to the keys on the backend; ends with 4 if no key starts with it. Marks what it finds and repairs nothing: status and doctor report it.',
    examples: ['stored verify', 'stored verify --sample 5% --backend s3-prod'],
    load: () => import('../commands/verify.ts'),
  },
  {
    name: 'repair',
    args: [{ ...NAMES, optional: true }],
    flags: [NO_WAIT],
    help: 'Repair copies that were found damaged, missing or changed',
    details:
      'Without a name, it repairs all of them. Each copy is read again; if it is still bad, bytes of a good copy replace it. A file that somebody changed is first kept beside it, as KEY.stored-kept-TIME. If no copy is good, nothing is changed. Does not search for damage: verify does.',
    examples: ['stored repair', 'stored repair photos/a.jpg --dry-run'],
    load: () => import('../commands/repair.ts'),
  },
  {
    name: 'forget',
    args: [NAME],
    flags: [{ ...BACKEND, help: 'The backend that holds the copy' }],
    help: 'Give up a copy, or its removal, and leave the object there',
    details:
      'Never gives up the last copy. Remove its key with rm first; then forget the removal, by the key on the backend. The backend is not asked, and need not be configured.',
    examples: ['stored forget photos/a.jpg --backend usb'],
    load: () => import('../commands/forget.ts'),
  },
  {
    name: 'sync',
    args: [],
    flags: [
      { ...BACKEND, help: 'Wait only for this backend' },
      { name: 'until-idle', help: 'End when no jobs are left' },
    ],
    help: 'Bring copies to their backends, until interrupted',
    details:
      'Jobs that failed before are tried again at once. When no jobs are left, it says so once, and waits. Other processes can put in the meantime, and notify it. One process syncs a store at a time; if another one does, --until-idle waits for it.',
    examples: ['stored sync', 'stored sync --until-idle'],
    load: () => import('../commands/sync.ts'),
  },
  {
    name: 'queue ls',
    args: [ANY_BACKEND],
    flags: [{ name: 'state', value: 'STATE', help: 'Only jobs in this state', complete: JOB_STATES }, LIMIT],
    help: 'List jobs',
    examples: ['stored queue ls', 'stored queue ls s3-prod --state parked'],
    load: () => import('../commands/queue-ls.ts'),
  },
  {
    name: 'queue show',
    args: [ANY_BACKEND],
    flags: [],
    help: 'Show what backends are owed',
    examples: ['stored queue show'],
    load: () => import('../commands/queue-show.ts'),
  },
  {
    name: 'queue retry',
    args: [ANY_BACKEND],
    flags: [{ name: 'key', value: 'K', help: 'Only the job of this key on the backend' }, NO_WAIT],
    help: 'Put parked jobs back in the queue',
    examples: ['stored queue retry', 'stored queue retry s3-prod --key photos/a.jpg'],
    load: () => import('../commands/queue-retry.ts'),
  },
  {
    name: 'queue cancel',
    args: [ONE_BACKEND],
    flags: [
      { name: 'key', value: 'K', help: 'Only the job of this key on the backend' },
      { name: 'state', value: 'STATE', help: 'Only jobs in this state; otherwise parked ones', complete: JOB_STATES },
      NO_WAIT,
    ],
    help: 'Give up the copies that jobs would make, or their removal',
    details: 'Never gives up the only copy. A cancelled removal leaves the object there, as forget does.',
    examples: ['stored queue cancel old-disk --dry-run'],
    load: () => import('../commands/queue-cancel.ts'),
  },
  {
    name: 'queue pause',
    args: [ANY_BACKEND],
    flags: [],
    help: 'Start no jobs, in any process, until resumed',
    examples: ['stored queue pause s3-prod'],
    load: () => import('../commands/queue-pause.ts'),
  },
  {
    name: 'queue resume',
    args: [ANY_BACKEND],
    flags: [],
    help: 'End a pause; try failing backends at once',
    examples: ['stored queue resume s3-prod'],
    load: () => import('../commands/queue-resume.ts'),
  },
  {
    name: 'backend add',
    args: [
      { name: 'NAME' },
      { name: 'DRIVER', complete: ['fs'] },
      { name: 'k=v', optional: true, multiple: true, complete: 'option' },
    ],
    flags: [],
    help: 'Add a backend to the configuration',
    details:
      'Values are JSON if they parse, otherwise text. Others can see a command line, so give a secret as @env:NAME or @file:PATH, which writes a reference into the configuration, or as @ask, which asks for it on a terminal without showing it. Relative paths start from the working directory. Nothing is written unless the driver accepts the options.',
    examples: [
      'stored backend add usb fs root=/media/usb/blobs',
      'stored backend add cold fs root=./cold layout=id',
      'stored backend add prod s3 bucket=photos accessKeyId=AKIA secretAccessKey=@env:BUCKET_SECRET',
    ],
    load: () => import('../commands/backend-add.ts'),
  },
  {
    name: 'backend ls',
    args: [],
    flags: [],
    help: 'List backends',
    examples: ['stored backend ls'],
    load: () => import('../commands/backend-ls.ts'),
  },
  {
    name: 'backend show',
    args: [ONE_BACKEND],
    flags: [],
    help: 'Show a backend: driver, capabilities, state, jobs',
    examples: ['stored backend show local'],
    load: () => import('../commands/backend-show.ts'),
  },
  {
    name: 'backend test',
    args: [ONE_BACKEND],
    flags: [],
    help: 'Store, read, list and remove a small blob there; show how long each step took',
    details: 'Also shows what the backend can do, and how far its clock is off. Leaves nothing there.',
    examples: ['stored backend test s3-prod'],
    load: () => import('../commands/backend-test.ts'),
  },
  {
    name: 'backend rm',
    args: [ONE_BACKEND],
    flags: [{ name: 'force', help: 'Even if jobs are waiting for it, or it holds the only copy of a blob' }],
    help: 'Forget a backend; nothing on it is removed',
    examples: ['stored backend rm old-disk'],
    load: () => import('../commands/backend-rm.ts'),
  },
  {
    name: 'backend pause',
    args: [ONE_BACKEND],
    flags: [],
    help: 'Leave a backend alone until resumed',
    examples: ['stored backend pause usb'],
    load: () => import('../commands/queue-pause.ts'),
  },
  {
    name: 'backend resume',
    args: [ONE_BACKEND],
    flags: [],
    help: 'End a pause; try a failing backend at once',
    examples: ['stored backend resume usb'],
    load: () => import('../commands/queue-resume.ts'),
  },
  {
    name: 'cache stats',
    args: [],
    flags: [],
    help: 'Show what the read cache holds',
    examples: ['stored cache stats'],
    load: () => import('../commands/cache-stats.ts'),
  },
  {
    name: 'cache evict',
    args: [{ name: 'PATTERN|oldest|oversized', complete: ['oldest', 'oversized'] }],
    flags: [],
    help: 'Remove entries from the read cache',
    details: 'PATTERN matches ids and keys; * stands for any characters.',
    examples: ["stored cache evict 'photos/*'", 'stored cache evict oldest'],
    load: () => import('../commands/cache-evict.ts'),
  },
  {
    name: 'cache clear',
    args: [],
    flags: [],
    help: 'Empty the read cache',
    examples: ['stored cache clear'],
    load: () => import('../commands/cache-clear.ts'),
  },
  {
    name: 'events',
    args: [],
    flags: [
      { name: 'follow', help: 'Continue with new events until interrupted' },
      { name: 'since', value: 'POSITION', help: 'Only events after this position' },
    ],
    help: 'Show what happened: the log of puts, deletions and syncing',
    examples: ['stored events --since 120', 'stored events --follow --json'],
    load: () => import('../commands/events.ts'),
  },
  {
    name: 'status',
    args: [],
    flags: [],
    help: 'Show the state of the store',
    details:
      'Reports copies that are known to be damaged, missing, changed or given up, and the command that repairs them.',
    examples: ['stored status'],
    load: () => import('../commands/status.ts'),
  },
  {
    name: 'config explain',
    args: [],
    flags: [],
    help: 'Show every option in force, and where it comes from',
    examples: ['stored config explain'],
    load: () => import('../commands/config-explain.ts'),
  },
  {
    name: 'doctor',
    args: [],
    flags: [{ name: 'fix', help: 'Give the files of the store the configured mode' }],
    help: 'Check the store, its configuration and its backends',
    details:
      'Stores a small blob on every backend and removes it. Ends with 8 if copies are known to be damaged, missing or changed, with 1 if something else fails, with 9 if copies were given up or are too few.',
    examples: ['stored doctor', 'stored doctor --fix'],
    load: () => import('../commands/doctor.ts'),
  },
  {
    name: 'upgrade',
    args: [],
    flags: [{ name: 'prune', help: 'Remove the index that an upgrade kept' }],
    help: 'Bring a store of the former format to the format of this version',
    details:
      'Writes a new index beside the present one, which takes as much free space again, and then puts it in its place. Interrupted, even by a power cut, the store is as it was, or upgraded. The former index stays as `index.v2.bak` until --prune. No process may have the store open.',
    examples: ['stored upgrade --dry-run', 'stored upgrade', 'stored upgrade --prune'],
    load: () => import('../commands/upgrade.ts'),
  },
  {
    name: 'compact',
    args: [],
    flags: [],
    help: 'Shrink the index file of the store',
    details:
      'The file never gets smaller by itself. Writes a copy without free pages beside it, which takes as much free space as the copy, and puts it in its place. No process may have the store open.',
    examples: ['stored compact'],
    load: () => import('../commands/compact.ts'),
  },
  {
    name: 'backup',
    args: [{ name: 'FILE|DIR', complete: 'file' }],
    flags: [{ name: 'staged', help: 'Also copy staged files; a directory is made' }],
    help: 'Copy the index of the store, as it is at one moment',
    details:
      'Other processes may go on to use the store. The index holds keys, records, places, jobs, the event log and staged blobs of up to 64 KiB. With --staged, larger staged blobs are copied too. What lies on backends is not copied.',
    examples: ['stored backup index.backup', 'stored backup /mnt/nightly --staged'],
    load: () => import('../commands/backup.ts'),
  },
  {
    name: 'restore',
    args: [{ name: 'FILE|DIR', complete: 'file' }],
    flags: [],
    help: 'Make the configured store of a backup',
    details:
      'The store directory must hold no store. Blobs whose staged bytes are neither in the backup nor on a backend are named, their copies become `missing`, and the command ends with 3.',
    examples: ['stored restore /mnt/nightly'],
    load: () => import('../commands/restore.ts'),
  },
  {
    name: 'conformance',
    args: [{ name: 'NAME|MODULE', complete: 'backend' }],
    flags: [
      { name: 'profile', value: 'P', help: 'quick (the default), full or soak', complete: ['quick', 'full', 'soak'] },
      { name: 'only', value: 'CASE', multiple: true, help: 'Only this case or group; may be repeated' },
      { name: 'seed', value: 'N', help: 'Repeat the payloads and choices of a run' },
    ],
    help: 'Run the conformance kit on a backend, or on a driver under development',
    details:
      'On a backend it asks first, and then writes and deletes thousands of blobs, all below its own prefix. MODULE is the path, with a slash or an extension, of a module that exports `harness`. Needs @stored/conformance.',
    examples: ['stored conformance s3-prod', 'stored conformance ./test/harness.ts --only rg --only key.punct'],
    load: () => import('../commands/conformance.ts'),
  },
  {
    name: 'completion',
    args: [{ name: 'bash|zsh|fish', complete: SHELLS }],
    flags: [],
    help: 'Print completions for a shell',
    details:
      'The scripts call `stored completion backends` for backend names. It reads JSON, and runs no code of a configuration or a driver.',
    examples: [
      'eval "$(stored completion bash)"',
      'stored completion zsh > ~/.zfunc/_stored',
      'stored completion fish > ~/.config/fish/completions/stored.fish',
    ],
    load: () => import('../commands/completion.ts'),
  },
]
